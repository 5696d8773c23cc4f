"""What the machine has left, and the guard that holds scheduled work back when that is too little."""
