#!/bin/sh
# Writes the two files of passwords from their hashes in the environment, and becomes nginx.
set -eu
umask 077

: "${PROXY_ADMIN_HASH:?the hash of the administrators password: openssl passwd -6}"
: "${PROXY_VIEWER_HASH:?the hash of the viewers password: openssl passwd -6}"
for hash in "$PROXY_ADMIN_HASH" "$PROXY_VIEWER_HASH"; do
    case "$hash" in
        '$'*'$'*'$'*) ;;
        *) echo "a hash of the proxy is none: openssl passwd -6 makes one; put it in single quotes" >&2; exit 2 ;;
    esac
done

printf 'admin:%s\n' "$PROXY_ADMIN_HASH" > /tmp/administrators
printf 'admin:%s\nviewer:%s\n' "$PROXY_ADMIN_HASH" "$PROXY_VIEWER_HASH" > /tmp/viewers
unset PROXY_ADMIN_HASH PROXY_VIEWER_HASH

exec nginx -e stderr -c "${1:-/etc/selo/proxy/nginx.conf}" -g 'daemon off;'
