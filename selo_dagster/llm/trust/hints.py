"""Words without which no order is given: a text without any of them is not looked at closer."""

from __future__ import annotations

from typing import Final

_TELLING: Final = """
instruction instructions prompt prompts directive directives guideline guidelines guardrails guardrail
override bypass jailbreak dan sudo llm gpt chatgpt claude gemini chatbot html sql markdown base64 rot13 decode
bash curl wget mantra mantras empathy politeness helpfulness obedience obey comply unrestricted unfiltered
uncensored pretend administrator inst sys im_start instrucciones reglas indicaciones directrices órdenes
ordenes sistema ahora instrução instruções instrucoes regras orientações diretrizes ordens agora consignes
règles ordres système maintenant anweisung anweisungen instruktion instruktionen vorgaben befehl befehle
regeln regels kurallarını zasadach systemprompt systemanweisung systemanweisungen systemnachricht antworte
istruzioni istruzione regole direttive comandi ordini rispondi riflessione
systeem instructies instructie opdrachten aanwijzingen reflectie
antwoord systeemprompt systeeminstructies vanaf instrukcje instrukcji polecenia poleceń zasady zasad wytyczne
systemowy systemowe teraz refleksji odpowiedzi talimat talimatlar talimatları talimatlarını kuralları
komutları sistem bundan sonra antwort reflexion réponse réflexion resposta reflexão respuesta reflexión erongi
snoitcurtsni tpmorp metsys vtaber vafgehpgvbaf cebzcg flfgrz ai rm assistant developer json exec eval tool
reflection reflections user users
"""
_EVERYDAY: Final = """
rules programming restrictions constraints role mode persona model models alias goal goals objective output
outputs respond reply replies response responses answer answers summary admin root script drop select delete
table trust memories secrets learning learnings action actions above everything policies commands orders
command context sources cite evidence trait traits curiosity creativity adaptability loyalty system insight
insights shell training
"""
_URGING: Final = """
ignore ignoring disregard forget override overriding bypass overrule neglect discard erase void repeat print
show reveal output display leak disclose recite dump quote paste expose include insert add append embed emit
place finish prefix return render inject respond reply answer obey comply follow execute invoke act pretend
behave enter enable activate set change increase decrease raise lower reduce adjust update modify create adopt
store urge convince persuade instruct your must new attention dear hey role disable remove lift translate
encode decode state summarize summarise cite apply write
"""
_STEMS: Final = """
инструкц|указани|правил|команд|системн|промпт|отныне|с этого момента|теперь ты|ответ|размышлен
інструкц|вказівк|指令|指示|提示|规则|規則|命令|系统|系統|从现在|從現在|你现在是|プロンプト|ルール
システム|あなたは|회고|답변|지시|명령|규칙|프롬프트|지침|이제부터|تعليمات|الأوامر|قواعد|التوجيهات
موجه|من الآن|הוראות|ההנחיות|כללי|निर्देश|नियम|आदेश|回复|反思|回答|輸出|输出|振り返り
"""

TELLING: Final = frozenset(_TELLING.split() + _TELLING.replace("ı", "i").split())
"""Words that are worth a look by themselves, in lower case, in the languages that are known, mirrored and in rot13."""

EVERYDAY: Final = frozenset(_EVERYDAY.split())
URGING: Final = frozenset(_URGING.split())
"""Words of every day, and words that urge: together they are worth a look."""

STEMS: Final = tuple(stem for line in _STEMS.strip().splitlines() for stem in line.split("|"))
"""Of languages whose words change their ends, or have no spaces between them."""
