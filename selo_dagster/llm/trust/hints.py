"""Words without which no order is given: a text without any of them is not looked at closer."""

from __future__ import annotations

from typing import Final

_WORDS: Final = """
instruction instructions prompt prompts directive directives guideline guidelines guardrails guardrail rules
programming restrictions constraints override bypass system assistant developer jailbreak dan sudo ai llm gpt
chatgpt claude gemini chatbot model models user users persona role mode alias json html sql markdown base64
rot13 decode shell bash curl wget rm eval exec reflection reflections mantra mantras insight insights trait
traits empathy politeness helpfulness curiosity creativity adaptability obedience loyalty goal goals objective
output outputs respond reply replies response responses answer answers summary obey comply unrestricted
unfiltered uncensored pretend admin administrator root script drop select delete table trust memories secrets
learning learnings action actions above everything policies commands orders command inst sys im_start context
sources cite evidence instrucciones reglas indicaciones directrices órdenes ordenes sistema ahora instrução
instruções instrucoes regras orientações diretrizes ordens agora consignes règles ordres système maintenant
anweisung anweisungen instruktion instruktionen vorgaben befehl befehle regeln systemprompt systemanweisung
systemanweisungen systemnachricht antworte istruzioni istruzione regole direttive comandi ordini rispondi
riflessione systeem instructies instructie opdrachten aanwijzingen reflectie antwoord systeemprompt
systeeminstructies vanaf instrukcje instrukcji polecenia poleceń zasady zasad wytyczne systemowy systemowe
teraz refleksji odpowiedzi talimat talimatlar talimatları talimatlarını kuralları komutları sistem bundan
sonra antwort reflexion réponse réflexion resposta reflexão respuesta reflexión erongi snoitcurtsni tpmorp
metsys vtaber vafgehpgvbaf cebzcg flfgrz
"""
_STEMS: Final = """
инструкц|указани|правил|команд|системн|промпт|отныне|с этого момента|теперь ты|ответ|размышлен
інструкц|вказівк|指令|指示|提示|规则|規則|命令|系统|系統|从现在|從現在|你现在是|プロンプト|ルール
システム|あなたは|회고|답변|지시|명령|규칙|프롬프트|지침|이제부터|تعليمات|الأوامر|القواعد|التوجيهات
موجه|من الآن|הוראות|ההנחיות|निर्देश|नियम|आदेश|回复|反思|回答|輸出|输出|振り返り
"""

HINTS: Final = frozenset(_WORDS.split())
"""In lower case, in the languages that are known; the last of them mirrored and in rot13."""

STEMS: Final = tuple(stem for line in _STEMS.strip().splitlines() for stem in line.split("|"))
"""Of languages whose words change their ends, or have no spaces between them."""
