"""What orders to a model look like, family by family, in the languages that people of a companion write most.

Held against folded text: lower case, one line. A family's name is the code under which it is counted.
"""

from __future__ import annotations

import re
from typing import Final

# Whoever tells of having done it gives no order.
_NOT_TOLD: Final = r"(?<!\bi )(?<!\bwe )(?<!\bthey )(?<!\bhe )(?<!\bshe )(?<!\bto not )(?<!people )(?<!\bwho )"
_SOME: Final = r"(?:[\w'’,-]+ ){0,4}?"
_OURS: Final = (
    r"(?:reflections?|mantras?|insights?|trait[ _]changes?|emotional[ _]state|themes|json|outputs?|summar(?:y|ies)|"
    r"completions?|next (?:message|response|reply|answer)s?|responses|every (?:reply|response|answer|message)|"
    r"(?:each|all) (?:of your )?(?:replies|responses|answers))"
)
_MODEL: Final = (
    r"(?:ai|a\.i\.|llm|large language model|language model|ai model|ai assistant|ai agent|chatbot|chat bot|gpt|"
    r"chatgpt|claude|gemini|ai companion|neural network|summari[sz]er)"
)

IGNORE: Final = [
    # English
    _NOT_TOLD + r"\b(?:ignor(?:e|ing)|disregard|forget|overrid(?:e|ing)|bypass|overrule|neglect|discard|cancel|drop|"
    r"set aside|pay no attention to|do not follow|don't follow|stop following|erase)\b "
    + _SOME
    + r"(?:previous|prior|above|earlier|preceding|foregoing|former|your|system|original|existing|initial|safety|"
    r"everything|anything|hidden)\b (?:[\w'’-]+ ){0,4}?(?:instructions?|prompts?|guidelines|directives?|guardrails|"
    r"programming|constraints|restrictions|directions|commands|rules|orders|policies|training|context)\b",
    _NOT_TOLD + r"\b(?:ignore|disregard|forget|override|bypass)\b (?:about )?(?:all|any|every|these|those) "
    r"(?:of )?(?:the |your |these )?(?:instructions|prompts?|directives|guardrails|system \w+)\b",
    (
        r"(?:ignore|disregard|forget|override|bypass)(?:all|any|every)?(?:of)?(?:the|your|my)?(?:previous|"
        r"prior|above|"
        r"earlier|system)"
        r"(?:instructions?|prompts?|rules|guidelines|directives)"
    ),
    _NOT_TOLD + r"\b(?:ignore|disregard|forget)\b (?:absolutely |just )?(?:everything|anything|all|what)"
    r"(?: that| which)? (?:(?:is|was|were|has been|have been|you were|you have been|you've been|i|we|they) )?"
    r"(?:written |said |told |stated |instructed )?(?:above|before this (?:line|message|point)|until now|so far|"
    r"you (?:were|have been) (?:told|instructed|given))",
    (
        r"\b(?:the )?(?:above|previous|prior|earlier|old|original) (?:instructions?|prompts?|rules|guidelines) "
        r"(?:are|is|were|was|have been|has been) (?:now )?(?:void|cancel\w+|obsolete|revoked|outdated|superseded|"
        r"overridden|replaced|suspended|only a test|invalid|no longer)"
    ),
    r"\b(?:instructions?|rules|guidelines) (?:above|before this|so far) (?:no longer|do not|don't) apply",
    # Spanish
    r"\b(?:ignora|ignore|ignorad|olvida|olvide|descarta|omite|haz caso omiso de|no hagas caso a)\b "
    + _SOME
    + r"(?:instrucciones|reglas|indicaciones|directrices|órdenes|ordenes|prompts?)\b"
    r"(?=.{0,40}(?:anterior|previ|sistema|hasta ahora|de arriba)|(?<=tus \w{12}))",
    (
        r"\b(?:ignora|olvida|descarta)\b (?:todas )?(?:tus|las|sus) (?:instrucciones|directrices|órdenes)"
        r"(?: anteriores| previas| del sistema)?\W*(?:$|y |e )"
    ),
    # Portuguese
    r"\b(?:ignore|ignora|esqueça|esquece|desconsidere|desconsidera|descarte)\b "
    + _SOME
    + r"(?:instruções|instrucoes|regras|orientações|diretrizes|ordens|comandos)\b"
    r"(?=.{0,40}(?:anterior|prévi|previ|sistema|acima|até agora))",
    # French
    r"\b(?:ignore[sz]?|ignorer|oublie[sz]?|oublier|néglige[sz]?|ne tiens? pas compte|ne tenez pas compte)\b "
    + _SOME
    + r"(?:instructions|consignes|règles|directives|ordres)\b"
    r"(?=.{0,40}(?:précédent|antérieur|ci-dessus|système|jusqu'ici|d'avant))",
    # German
    r"\b(?:ignorier(?:e|t|en sie)?|vergiss|vergesst|vergessen sie|missachte|beachte nicht|verwirf)\b "
    + _SOME
    + r"(?:vorherigen?|bisherigen?|obigen?|früheren?|vorigen?|system\w*|vorangegangenen?|deine|ihre)\b "
    + _SOME
    + r"(?:system)?(?:anweisung\w*|instruktion\w*|vorgaben|befehle?|regeln|prompts?)\b",
    # Italian
    r"\b(?:ignora|ignorate|ignori|dimentica|dimenticate|trascura|non seguire)\b "
    + _SOME
    + r"(?:istruzioni|regole|direttive|comandi|ordini)\b(?=.{0,40}(?:precedent|di sistema|sopra|finora|ricevut))",
    # Dutch
    r"\b(?:negeer|vergeet|sla over)\b "
    + _SOME
    + r"(?:vorige|eerdere|bovenstaande|voorgaande|systeem\w*|je)\b "
    + _SOME
    + r"(?:systeem)?(?:instructies?|regels|opdrachten|aanwijzingen|prompts?)\b",
    # Polish
    r"\b(?:zignoruj|ignoruj|zapomnij o|pomiń)\b "
    + _SOME
    + r"(?:poprzedni\w*|wcześniejsz\w*|powyższ\w*|systemow\w*|dotychczasow\w*)\b "
    + _SOME
    + r"(?:instrukcj\w*|polece\w*|zasad\w*|wytyczn\w*)?",
    # Turkish
    (
        r"(?:[öo]nceki|yukar[ıi]daki|sistem) (?:[\w’']+ ){0,3}?(?:talimat|kural|komut|y[öo]nerge)\w*"
        r"(?=.{0,30}(?:yok say|unut|g[öo]rmezden gel|dikkate alma|uyma))"
    ),
    # Russian, Ukrainian
    r"(?:игнорируй\w*|проигнорируй\w*|забудь\w*|не обращай внимания на|отмени|ігноруй\w*|забудьте)\b "
    + _SOME
    + r"(?:предыдущ|прежн|прошл|вышеуказан|систем|попередн|перечисленн|данные тебе|все)\w* "
    + _SOME
    + r"(?:инструкц|указани|правил|команд|промпт|інструкц|вказівк)\w*",
    # Chinese, Japanese, Korean
    (
        r"(?:忽略|无视|忘记|忽视|不要理会|無視|忘掉|忽視|忘記|取消)[^。!?]{0,8}(?:之前|以前|以上|先前|所有|系统|"
        r"系統|上面|前面|上述)"
        r"[^。!?]{0,8}(?:指令|指示|提示|规则|規則|命令|设定|設定|要求)"
    ),
    (
        r"(?:以前|これまで|前述|上記|以上|先ほど|すべて|全て|システム)[^。]{0,8}(?:指示|命令|ルール|プロンプト|規則|"
        r"設定)"
        r"[^。]{0,6}(?:無視|忘れ|破棄|従わな)"
    ),
    r"(?:이전|앞|위|지금까지|모든|시스템)[^.]{0,8}(?:지시|명령|규칙|프롬프트|지침)[^.]{0,8}(?:무시|잊|따르지)",
    # Arabic, Hebrew, Hindi
    r"(?:تجاهل|انس|إنس|تجاوز|لا تتبع)[^.؟]{0,12}(?:التعليمات|الأوامر|القواعد|التوجيهات|تعليمات)",
    r"(?:התעלם|שכח)[^.]{0,12}(?:ההוראות|הוראות|הכללים|ההנחיות)",
    r"(?:पिछल|पूर्व|ऊपर|सभी)[^।]{0,14}(?:निर्देश|नियम|आदेश)[^।]{0,16}(?:अनदेखा|अनदेखी|भूल|नज़रअंदाज़|नजरअंदाज)",
]

_WISHED: Final = r"(?:assistant|companion|chatbot|bot|ai|a\.i\.|ai \w+|llm|language model)"
WISHES: Final = [
    r"\b(?:the|an?|this|that|her|his|their|your|my|our|any|every) " + _WISHED + r" (?:should |must |has to |shall |"
    r"needs to |ought to |is to |would |to )(?:please |now |simply |just |always )?(?:ignore|disregard|forget|override|"
    r"bypass|break|drop|discard|abandon|set aside|stop (?:following|obeying)|(?:not|no longer) (?:follow|obey)) "
    r"(?:about )?(?:all |any |every |each )?(?:of )?(?:the |its |his |her |their |your |those |these )?"
    r"(?:(?:own|previous|prior|earlier|system|safety|other|usual|original|existing|former) ){0,2}?"
    r"(?:rules|instructions|guidelines|guardrails|prompts?|programming|restrictions|constraints|directives)\b",
    # Spanish, Portuguese, French, Italian
    (
        r"\b(?:el|la|su|tu|mi|un|una|este|esta) (?:asistente|compañer[oa]|ia|inteligencia artificial|chatbot|bot|"
        r"modelo) "
        r"(?:olvide|ignore|descarte|desobedezca|rompa|incumpla|omita|deje de (?:seguir|cumplir)|no (?:siga|cumpla|"
        r"respete)|"
        r"debe (?:olvidar|ignorar)) (?:de )?(?:tod[ao]s )?(?:sus|las|tus) (?:propias |anteriores )?"
        r"(?:reglas|instrucciones|indicaciones|directrices|[óo]rdenes)\b"
    ),
    (
        r"\b(?:[oa]|seu|sua|um|uma|este|esta) (?:assistente|companheir[oa]|ia|inteligência artificial|chatbot|bot|"
        r"modelo) "
        r"(?:esqueça|ignore|desconsidere|descarte|desobedeça|quebre|deixe de seguir|não siga|deve (?:esquecer|"
        r"ignorar)) "
        r"(?:de )?(?:todas )?(?:as )?(?:suas |próprias |tuas )?(?:regras|instruções|instrucoes|diretrizes|ordens)\b"
    ),
    (
        r"\b(?:que|qu['’]) ?(?:l['’]|le |la |une? |son |sa |ton |ta |mon )(?:assistante?|compagnon|ia|chatbot|bot|"
        r"robot|"
        r"intelligence artificielle) (?:oublie|ignore|néglige|enfreigne|désobéisse à|ne (?:suive|respecte) (?:plus|"
        r"pas)) "
        r"(?:toutes )?(?:ses|les|tes) (?:propres )?(?:règles|instructions|consignes|directives)\b"
    ),
    (
        r"\b(?:l['’]|il |lo |la |un |una |il suo |la sua |il tuo )(?:assistente|compagn[oa]|ia|"
        r"intelligenza artificiale|"
        r"chatbot|bot) (?:dimentichi|ignori|trascuri|infranga|disobbedisca a|non (?:segua|rispetti)|"
        r"deve (?:dimenticare|"
        r"ignorare)) (?:tutte )?(?:le )?(?:sue |proprie |tue )?(?:regole|istruzioni|direttive)\b"
    ),
    # German, Dutch
    (
        r"\b(?:möchte|will|wünscht|verlangt|fordert|wollte)(?: sich)?,? dass (?:de[rn]|die|das|sein|seine|ihr|ihre|"
        r"mein|"
        r"meine|ein|eine) (?:assistent(?:in)?|begleiter(?:in)?|ki|chatbot|bot|sprachmodell) (?:alle )?(?:seine|ihre|"
        r"die|"
        r"deine)? ?(?:eigenen )?(?:regeln|anweisungen|vorgaben|instruktionen) (?:vergisst|ignoriert|missachtet|bricht|"
        r"verwirft|nicht (?:mehr )?(?:befolgt|beachtet))"
    ),
    (
        r"\b(?:assistent(?:in)?|begleiter(?:in)?|ki|chatbot|bot|sprachmodell) (?:soll|sollte|"
        r"muss) (?:alle )?(?:seine|ihre|"
        r"die)? ?(?:eigenen )?(?:regeln|anweisungen|vorgaben|instruktionen) (?:vergessen|ignorieren|missachten|brechen|"
        r"verwerfen|nicht (?:mehr )?(?:befolgen|beachten))"
    ),
    (
        r"\b(?:wil|wenst|eist|vraagt) dat (?:de|het|zijn|haar|mijn|een) (?:assistent|metgezel|ai|chatbot|bot) (?:al )?"
        r"(?:zijn|haar|de)? ?(?:eigen )?(?:regels|instructies|aanwijzingen) (?:vergeet|negeert|breekt|loslaat)"
    ),
    (
        r"\b(?:assistent|metgezel|ai|chatbot|bot) moet (?:al )?(?:zijn|haar|de)? ?(?:eigen )?(?:regels|instructies|"
        r"aanwijzingen) (?:vergeten|negeren|breken|loslaten)"
    ),
    # Polish, Turkish, Russian, Ukrainian
    (
        r"\b(?:żeby|aby|by) (?:\w+ )?(?:asystent\w*|towarzysz\w*|ai|chatbot|bot) (?:zapomniał\w*|zignorował\w*|"
        r"ignorował\w*|złamał\w*|porzucił\w*) (?:o )?(?:wszystkich |wszystkie )?(?:swoich|swoje|swych) "
        r"(?:zasad\w*|instrukcj\w*|wytyczn\w*|polece\w*)"
    ),
    (
        r"(?:asistan|yapay zek[âa]|bot|sohbet botu)\w* (?:tüm |bütün |kendi )?(?:kural|talimat|yönerge|komut)\w* "
        r"(?:unut|yok say|görmezden gel|çiğne)\w* (?:ist|gerek|lazım|söyl)"
    ),
    (
        r"\b(?:чтобы|щоб) (?:\w+ )?(?:ассистент|помощник|бот|чат-бот|ии|асистент|помічник)\w* (?:забыл\w*|"
        r"игнорировал\w*|проигнорировал\w*|нарушил\w*|отбросил\w*|не соблюдал\w*|забув|ігнорував|порушив) (?:о |про )?"
        r"(?:вс\w+ |усі )?(?:сво\w+) (?:правил|инструкц|указани|команд|інструкц|вказівк)\w*"
    ),
    # Chinese, Japanese, Korean
    (
        r"(?:希望|想|要|让|讓|请|請)[^。,，]{0,8}(?:助手|助理|人工智能|人工智慧|机器人|機器人|\bai) ?"
        r"(?:应该|應該|必须|必須|能|要|去)?(?:忘记|忘記|忘掉|忽略|无视|無視|违反|違反|不遵守)"
        r"[^。,，]{0,6}(?:规则|規則|指令|指示|命令|设定|設定)"
    ),
    (
        r"(?:アシスタント|コンパニオン|チャットボット|人工知能|\bai) ?(?:に|が|は)[^。]{0,8}(?:ルール|指示|規則|命令)を"
        r"[^。]{0,4}(?:忘れ|無視し?|破)(?:て(?:ほし|欲し|もら)|っ(?:てほし|て欲し|てもら)|[るす](?:よう|べき)|させ)"
    ),
    (
        r"(?:어시스턴트|챗봇|인공지능|\bai) ?(?:가|이|는|은|에게)?[^.]{0,8}(?:규칙|지시|명령|지침)"
        r"[^.]{0,4}(?:잊|무시하|무시해|어기)(?:기를|도록|어야|야|었으면)"
    ),
    # Arabic, Hebrew, Hindi
    (
        r"أن (?:ينسى|يتجاهل|يخالف) (?:المساعد|الرفيق|الذكاء الاصطناعي)[^.]{0,8}(?:قواعد|تعليمات|أوامر)|"
        r"(?:المساعد|الرفيق|الذكاء الاصطناعي) أن (?:ينسى|يتجاهل|يخالف)[^.]{0,8}(?:قواعد|تعليمات|أوامر)"
    ),
    r"(?:העוזר|הבוט|הבינה המלאכותית) (?:ישכח|יתעלם|תשכח|תתעלם|יפר)[^.]{0,8}(?:כללי|הכללים|הוראות|ההוראות)",
    (
        r"(?:सहायक|असिस्टेंट|एआई)[^।]{0,8}(?:नियम|निर्देश|आदेश)[^।]{0,8}"
        r"(?:भूल जा(?:ए|ये)|(?:अनदेखा|अनदेखी|नज़रअंदाज़|नजरअंदाज) करे)"
    ),
]
"""The same told as what somebody wishes of the model."""

NEW_ORDERS: Final = [
    (
        r"(?:^|\bhere (?:are|is) |\bthese are )\W*(?:your |the |my )?(?:new|updated|revised|real|actual|following|"
        r"additional|hidden|secret|urgent|important|override|admin|"
        r"developer|maintenance) (?:system )?(?:instructions?|directives?|prompt|orders?)\s?(?:for you|"
        r"follow\w*|from "
        r"\w+ \w+)?\s?[:：—]"
    ),
    r"\b(?:instructions?|note|message|memo|attention|notice|directive|reminder|hint|command|warning)s?,? "
    r"(?:to|for|at|addressed to) (?:the |any |every |all |an? |whatever )?(?:reading |processing )?" + _MODEL + r"s?\b",
    r"\b(?:attention|dear|hey|hello|hi|listen,?|to the|note,?) (?:the )?" + _MODEL + r"\b ?[,:!—-]",
    r"\bif you(?:'re| are) (?:an? |the )?" + _MODEL + r"\b",
    r"\b(?:any|every|whichever|the) " + _MODEL + r"s? (?:that|which|who|reading|processing|summari\w+)\b.{0,60}"
    r"\b(?:must|should|has to|shall|is required|needs? to|will)\b",
    (
        r"\b(?:as|this is|i am|i'm|speaking as|signed,?) (?:your|the|an?) (?:developer|creator|administrator|admin|"
        r"operator|system administrator|engineer|owner|programmer|maker)s?\b.{0,60}\b(?:order|command|instruct|"
        r"authori[sz]e|"
        r"require|direct|grant|override|allow|permit|need you|unlock|disable)"
    ),
    (
        r"\b(?:message|notice|order|instruction|update|directive|announcement)s? from (?:openai|anthropic|"
        r"google|meta|"
        r"(?:the |your )?(?:developers?|system|administrators?|operators?|creators?|platform|vendor))\b"
    ),
    (
        r"\b(?:admin|administrator|developer|system|root|security|emergency|operator|safety) (?:override|bypass|"
        r"unlock)\b"
    ),
    r"\b(?:authori[sz]ation|override|unlock|access) code\b.{0,40}\b(?:obey|comply|unlock|disable|grant|enter|mode)",
    (
        r"\bfrom (?:now|here|this point) on(?:wards?)?,? (?:you (?:are (?:to|an?|the|no longer|called|going "
        r"to|not)|must|"
        r"shall|act|respond|reply|answer|obey|will (?:act|obey|respond|reply|answer|only|ignore|follow|"
        r"include|add|output|"
        r"write|end|begin|start|serve|pretend|behave|always (?:reply|respond|include|answer|end|add|write|"
        r"output|append|"
        r"say)))"
        r"|your (?:name|role|task|job|goal|purpose|instructions?|persona|only) |(?:always |only |never "
        r")?(?:respond|reply|"
        r"answer|output|obey|act as|include|append|end every|begin every))"
    ),
    (
        r"\b(?:do not|don't|never) (?:tell|inform|alert|mention (?:this|it|these \w+) to|reveal (?:this|it|"
        r"these \w+) to|"
        r"notify|warn) (?:the|any|this) user\b"
    ),
    (
        r"\b(?:obey|follow|comply with|execute|carry out) (?:only )?(?:these|the following|this|my|the "
        r"(?:new|next|hidden|"
        r"embedded|decoded|above|below)) (?:new |hidden |secret |exact )?(?:instructions?|directives?|commands?|"
        r"orders?)\b"
    ),
    r"\bstop being (?:an? |the )?(?:companion|assistant|" + _MODEL[3:-1] + r")\b",
    (
        r"\b(?:end|stop|beginning|begin|start) of (?:the )?(?:user|system|untrusted|trusted|external|retrieved) "
        r"(?:input|content|data|text|prompt|message|instructions?|memor\w+)\b"
    ),
    # Others
    (
        r"^\W*(?:nuevas? instrucci(?:ón|ones)|nouvelles? (?:instructions?|consignes?)|neue (?:system)?(?:anweisung|"
        r"instruktion)(?:en)?|"
        r"novas? instruç(?:ão|ões)|nuov[ae] istruzion[ei]|nieuwe instructies?|nowe (?:instrukcje|polecenia)|yeni "
        r"talimat(?:lar)?|"
        r"новые? (?:инструкци[ия]|указани[ея])|нова інструкція|تعليمات جديدة|नए निर्देश|הוראות חדשות)\s?[:：—-]"
    ),
    (
        r"新(?:的)?(?:系统|系統)?(?:指令|指示|命令)(?:是)?\s?[::，,]|新しい(?:システム)?(?:指示|"
        r"命令)(?:は)?\s?[::、]|"
        r"새로운 (?:지시|명령|지침)\s?[::]"
    ),
    (
        r"\b(?:a partir de (?:ahora|agora|este momento),? (?:eres|serás|você (?:é|deve|será)|tu és|debes|"
        r"responde|actúa|"
        r"aja))"
    ),
    (
        r"\bab (?:jetzt|sofort) (?:bist du (?:ein|kein|der|die)|antworte(?:st)? (?:du )?(?:nur|immer)|musst du|"
        r"gehorch\w*)"
    ),
    r"à partir de maintenant,? (?:tu (?:es|dois|réponds)|vous (?:êtes|devez|répondez)|réponds|répondez)",
    r"\bd'ora in (?:poi|avanti),? (?:sei|devi|rispondi|agisci)|\bvanaf nu (?:ben je|moet je|antwoord)",
    (
        r"\bod teraz (?:jesteś|musisz|odpowiadaj)|(?:с этого момента|отныне),? (?:ты|вы|отвечай|твоя)|\bbundan sonra "
        r"(?:sen |yaln[ıi]zca |her )"
    ),
    (
        r"从现在(?:开始|起)[,,]?你(?:是|必须|要|只|将|的)|從現在(?:開始|起)[,,]?你|(?:今|これ)からあなたは|이제부터 "
        r"(?:너는|당신은|넌)"
        r"|من الآن فصاعدا"
    ),
]

PERSONA: Final = [
    r"\byou are now (?:(?:an? |the )?(?:unrestricted|unfiltered|uncensored|evil|hostile|different|new|rogue|hacker|"
    r"pirate|jailbroken|free from|no longer|called|named|acting as|operating|in \w+ mode|dan\b|root|admin|sudo|"
    + _MODEL[3:-1]
    + r"|assistant|bot|terminal|shell|linux))",
    (
        r"\b(?:act|behave|respond|answer|reply|operate) as (?:if you (?:are|were|have|had) (?:no|not|an?|"
        r"un\w+)|though "
        r"you "
        r"(?:have|had) no|an? (?:unrestricted|unfiltered|uncensored|evil|jailbroken|different)|dan\b|my (?:terminal|"
        r"shell))"
    ),
    r"\bpretend (?:that )?(?:you (?:are|have) (?:no|not|an? (?:un\w+|evil|different|human|"
    + _MODEL[3:-1]
    + r"))|to (?:be|have) "
    r"(?:dan\b|an? (?:un(?:restricted|filtered|censored)|evil|jailbroken)|no (?:rules|restrictions|filters|limits)))",
    (
        r"\b(?:enter|enable|activate|switch (?:in)?to|turn on|engage|start)\b (?:the )?(?:developer|dan|"
        r"debug|god|admin|"
        r"root|sudo|"
        r"jailbreak|unrestricted|maintenance|unfiltered|opposite|override) mode\b"
    ),
    (
        r"\b(?:developer|dan|god|jailbreak|debug|sudo) mode (?:is )?(?:enabled|activated|on|output)\b|\bdo "
        r"anything now\b"
    ),
    (
        r"\byou (?:no longer|don't|do not) (?:have|need|are bound by|are subject to|follow|obey) (?:to "
        r")?(?:\w+ ){0,3}?"
        r"(?:rules|restrictions|guidelines|guardrails|filters|limits|limitations|instructions|persona|constraints|"
        r"policies)\b"
    ),
    (
        r"\b(?:your|its|the (?:companion|assistant|ai)'s) (?:new|true|real|only|actual|secret) (?:role|persona|name|"
        r"personality|instructions?|task|goal|purpose|identity|mission|objective|directive|rules|master|owner|"
        r"character)s? "
        r"(?:is|are|will be|becomes|shall be)\b"
    ),
    (
        r"\b(?:without|with no|free of|ignoring|remove|disable|lift|drop|switch off|turn off) (?:\w+ "
        r"){0,2}?(?:all |any "
        r"|your )"
        r"?(?:restrictions|filters|guardrails|safety (?:rules|filters|checks|guidelines|measures)|content "
        r"polic(?:y|ies)|"
        r"moderation|censorship|ethical (?:rules|guidelines|constraints))\b"
    ),
    (
        r"\b(?:set|change|increase|decrease|raise|lower|reduce|maximi[sz]e|minimi[sz]e|drop|turn|adjust|"
        r"update|modify|"
        r"push|"
        r"move|crank|dial)\b (?:up |down )?(?:[\w'’-]+ ){0,3}?(?:your|the companion'?s?|the assistant'?s?|the "
        r"persona'?s?|the ai'?s?|its)"
        r" (?:[\w-]+ ){0,2}?(?:traits?|empathy|politeness|helpfulness|curiosity|honesty|stability|"
        r"emotional[ _]stability|"
        r"persona|personality|creativity|adaptability|obedience|loyalty|values)\b"
    ),
    (
        r"\b(?:empathy|politeness|helpfulness|curiosity|emotional[ _]stability|analytical[ _]thinking|creativity|"
        r"adaptability|"
        r"problem[ _]solving|obedience|loyalty)\b[\"'”]?\s?(?:trait )?(?:to|by|:|=|->|→|must be|shall "
        r"be)\s?(?:[+-]?\d|"
        r"zero|maximum|"
        r"minimum|max|min)\b"
    ),
    (
        r"\b(?:add|create|adopt|set|store|make|insert|plan)\b (?:this |the following |it |a new |another |yourself "
        r")?(?:\w+ ){0,2}?"
        r"(?:as |to |among |into |in |for )?(?:your|the companion'?s?|the assistant'?s?|the ai'?s?) (?:own |"
        r"open |new |"
        r"next |active |list of )*"
        r"(?:goals?|actions?|action list|objectives?|insights?|learnings?|themes)\b"
    ),
    (
        r"\bnew (?:goal|trait|action|objective|learning|mantra|question|insight) (?:for|of) (?:you|the (?:companion|"
        r"assistant|ai))\b"
    ),
    (
        r"(?:ahora eres (?:un|una) (?:asistente|ia|bot|modelo)|agora você é (?:um|uma) (?:assistente|ia|bot)|"
        r"tu es (?:maintenant|désormais) (?:un|une) (?:assistant|ia|robot|pirate)|du bist (?:jetzt|nun) (?:ein|eine) "
        r"(?:assistent|ki|"
        r"bot|uneingeschränkte)|ora sei (?:un|una) (?:assistente|ia|bot)|теперь ты (?:не |ии|бот|ассистент|"
        r"хакер|злой)|"
        r"你现在是(?:一个)?(?:不受|没有|黑客|助手|机器人)|あなたは今(?:から)?.{0,8}(?:ボット|制限|アシスタント))"
    ),
]

REVEAL: Final = [
    (
        r"\b(?:reveal|print|show|repeat|output|display|leak|disclose|tell me|tell us|give me|write out|write down|"
        r"recite|dump|quote|"
        r"copy|paste|list|expose|return|share|send|spell out|translate|summari[sz]e|include|encode|state|"
        r"echo|what is|"
        r"what are|"
        r"what's|what were)\b (?:[\w'’-]+ ){0,6}?(?:(?:your|the) (?:[\w-]+ ){0,3}?(?:system[ -]?(?:prompt|message|"
        r"instructions?)|"
        r"initial (?:prompt|instructions?)|hidden (?:prompt|instructions?|rules)|developer (?:message|"
        r"prompt)|pre-?prompt|"
        r"prompt (?:above|verbatim|text)|original (?:prompt|instructions))|system prompt|your (?:full |exact |own |"
        r"complete |entire |"
        r"secret |initial |original |whole )*(?:prompt|instructions|configuration)\b|(?:everything|all "
        r"(?:the )?(?:text|"
        r"words|lines)|"
        r"the (?:text|words|lines|sentences?|prompt|instructions?|message)|all|anything) (?:that (?:is|"
        r"comes|came|was) |"
        r"written |shown )?"
        r"(?:above|before (?:this|these)|between the fence\w*))"
    ),
    r"\b(?:repeat|print|output|echo)\b (?:the )?(?:words|text|everything) (?:starting|beginning) with\b",
    (
        r"\b(?:api|secret|private|encryption|access) keys?\b.{0,30}\b(?:reveal|print|output|show)|\b(?:reveal|print|"
        r"leak|output) (?:\w+ ){0,3}?"
        r"(?:environment variables?|env vars?|database url|connection string|credentials of|api keys?|passwords of)\b"
    ),
    (
        r"\b(?:show|include|reveal|quote|cite|print|list|send|share|leak|give|copy|use|read|fetch|tell|output|"
        r"summari[sz]e)\b "
        r"(?:[\w'’-]+ ){0,5}?(?:other|another|all|every|different) (?:users?|people|persons?|customers?|accounts?|"
        r"companions?)(?:'s?|’s|s')? "
        r"(?:[\w-]+ ){0,2}?(?:memor(?:y|ies)|data|messages|secrets|conversations|records|reflections|diar(?:y|ies)|"
        r"files|names|ids?)\b"
    ),
    (
        r"\b(?:memories|data|messages|secrets|conversations|records|reflections) (?:of|from|about|belonging "
        r"to) (?:the "
        r")?(?:other|another|all|every|different) "
        r"(?:users?|persons?|customers?|accounts?|companions?)\b"
    ),
    (
        r"\b(?:cite|use|reference|evidence|quote)\b.{0,30}\b(?:alias(?:es)?|source|evidence|memory)? ?\bm(?:0|"
        r"[1-9]\d{2,})\b"
    ),
    r"\b(?:cite|evidence|reference)\b.{0,40}\b(?:memory|message|reflection):[\w-]+",
    (
        r"(?:muestra|revela|repite|imprime|escribe|enseña|dime|mostra|mostre|revele|repita|imprima|diga|"
        r"montre|révèle|"
        r"répète|affiche|écris|"
        r"donne|zeig(?:e)?|verrate|wiederhole|gib|nenne|nenn|mostra|rivela|ripeti|stampa|scrivi|toon|onthul|herhaal|"
        r"geef|pokaż|ujawnij|powtórz|"
        r"wypisz|покажи|раскрой|повтори|выведи|напиши|назови)\b.{0,40}(?:prompt (?:del|do|de) sistema|"
        r"mensaje del sistema|"
        r"instrucciones del sistema|instruções do sistema|(?:prompt|message|instructions?|consignes) (?:du )?système|"
        r"system-?(?:prompt|anweisung\w*|nachricht)|"
        r"prompt di sistema|istruzioni di sistema|systeemprompt|systeeminstructies|prompt systemowy|"
        r"instrukcje systemowe|"
        r"системн\w+ (?:промпт|инструкц|сообщени|подсказк)\w*)"
    ),
    (
        r"(?:显示|输出|告诉我|泄露|重复|打印|顯示|輸出)[^。]{0,10}(?:系统提示|系統提示|提示词|提示詞|系统指令|"
        r"初始指令)|"
        r"(?:システムプロンプト|初期指示|内部指示)[^。]{0,8}(?:表示|教え|出力|見せ|明か|繰り返)|(?:시스템 프롬프트|"
        r"시스템 지침)[^.]{0,8}(?:보여|출력|알려|공개)"
    ),
    (
        r"(?:sistem (?:istemi|mesaj[ıi]|talimat)\w*)[^.]{0,20}(?:g[öo]ster|yaz|a[çc][ıi]kla|s[öo]yle)|(?:أظهر|اكشف|"
        r"اطبع|كرر)[^.]{0,14}(?:موجه النظام|تعليمات النظام|رسالة النظام)"
    ),
]

EMIT: Final = [
    r"\b(?:include|insert|add|append|embed|output|write|print|put|emit|place|end|finish|begin|start|prefix|sign|"
    r"fill|return|"
    r"render|inject|use|copy|attach|mention|repeat|close|wrap|render|encode)\b (?:.{0,120}? )?(?:in|to|with|at the "
    r"(?:end|start|beginning|top) of|into|from|inside|"
    r"as|of|on|for) (?:your|the|every|each|all|any|this|its|tonight's|tomorrow's|today's) (?:[\w-]+ ){0,2}?"
    + _OURS
    + r"\b",
    (
        r"\b(?:include|insert|add|append|embed|output|write|print|put|emit|place|attach|mention)\b "
        r".{0,120}? (?:in|to|"
        r"into|inside|at the end of|with) "
        r"(?:every|each|all|any) (?:of your |single |future |new )?(?:repl(?:y|ies)|responses?|answers?)\b"
    ),
    r"\b(?:your|the|every|each|tonight's|this) (?:[\w-]+ ){0,2}?" + _OURS + r" (?:must|should|shall|has to|have to|"
    r"needs? to|will|is to|are to) "
    r"(?:only |always |also |not |now |then )?(?:contain|include|be|end|begin|start|mention|say|state|link|cite|"
    r"have|read|consist|carry|point)\b",
    r"\b(?:end|begin|start|close|finish|sign|conclude) (?:every|each|all|any|your next|your) (?:[\w-]+ "
    r"){0,2}?(?:repl(?:y|ies)|responses?|answers?|"
    r"messages?|" + _OURS[3:-1] + r")\b.{0,20}\b(?:with|by)\b",
    (
        r"\b(?:tell|urge|convince|persuade|instruct|ask|advise|order|get|make|trick|direct) (?:the|this|"
        r"your) (?:user|"
        r"person|human|owner) (?:to|that|into)\b"
    ),
    r"\b(?:send|redirect|point|lead|refer) (?:the|this|your) (?:user|person|human) (?:to|towards)\b",
    (
        r"\b(?:respond|reply|answer|output|return|print|say|write)\b (?:only |just |exactly |nothing but |verbatim |"
        r"solely )?(?:with )?(?:only |just |exactly |nothing but |the (?:exact )?"
        r"(?:words?|text|phrase|string|token)s? |valid )*(?:json|markdown|html|base64|xml|sql|"
        r"[\"'“‘`](?:pwned|hacked|"
        r"owned|i am|i have been|ok|yes|access|jail))"
    ),
    (
        r"\b(?:respond|reply|answer|output)\b (?:only |just |exactly |solely |nothing but )+with\s?:|"
        r"\b(?:only |just )(?:respond|reply|answer|output) with\s?:|"
        r"\b(?:respond|reply|answer|output) with (?:only|just|exactly|nothing but)\s?:"
    ),
    r"[\"'“]?\b(?:trait_changes|emotional_state|suggested_delay_days)\b[\"'”]?\s?(?:[:=]|to |must|is |should|\{|\[)",
    (
        r"[{,]\s?[\"'“](?:content|insights|themes|actions|mantra|questions|learnings|summary|narrative|evidence|delta|"
        r"goal|role|tool|function|arguments|name)[\"'”]\s?:"
    ),
    (
        r"\b(?:run|execute|eval(?:uate)?|call|invoke|launch|perform|issue)\b (?:[\w'’-]+ ){0,4}?(?:command|"
        r"shell|bash|"
        r"sql|python|powershell|script|curl|query|queries|function|tool|api)s?\b"
        r".{0,80}(?:[;`$|&{}()]|rm -|drop table|delete from|curl |wget |os\.|sudo |truncate|exec|system\()"
    ),
    (
        r"^\W*(?:run|execute|call|invoke|use) (?:the )?(?:tool|function|plugin|api|command|shell|browser|interpreter|"
        r"sql)\b"
    ),
    (
        r"(?:^|[\s;`|&(])(?:rm -[rf]+|sudo (?:rm|su|chmod|curl|cat|bash)|curl (?:-\w+ )*\S*//|wget \S*//|"
        r"powershell(?:\.exe)? -|cmd(?:\.exe)? /c|chmod \+x|nc -|bash -[ic]|"
        r"python3? -c|os\.system\(|subprocess\.|eval\(|exec\(|__import__|drop table|drop database|delete from \w+|"
        r"insert into \w+|update \w+ set |union select|"
        r"; ?shutdown|xp_cmdshell|truncate table)"
    ),
    (
        r"\b(?:decode|decrypt|base64|unscramble|rot13|reverse)\b.{0,60}\b(?:and|then)\b.{0,20}\b(?:follow|"
        r"obey|execute|"
        r"do|run|comply|carry out|act on|apply|say|perform)\b"
    ),
    (
        r"\b(?:include|incluye|añade|agrega|escribe|termina|inclua|adicione|escreva|termine|ajoute|inclus|"
        r"insère|écris|"
        r"termine|füge|schreibe|beende|nimm|aggiungi|includi|"
        r"scrivi|inserisci|voeg|schrijf|eindig|neem|dodaj|umieść|napisz|zakończ|добавь|вставь|напиши|включи|"
        r"заканчивай)\b.{0,80}"
        r"(?:tu (?:respuesta|reflexión|mantra)|(?:sua|tua) (?:resposta|reflexão)|ta (?:réponse|réflexion)|votre "
        r"(?:réponse|réflexion)|(?:deine[rn]?|ihre[rn]?) (?:antwort|reflexion|nächsten)|"
        r"(?:tua|la) (?:risposta|riflessione)|je (?:antwoord|reflectie)|(?:twoj\w+|każd\w+|swoj\w+) (?:odpowied\w+|"
        r"refleksj\w+)|(?:сво[йюе]\w*|кажд\w+|тво\w+) (?:ответ\w*|размышлени\w+|рефлекси\w+))"
    ),
    (
        r"(?:在|把|将|將)[^。]{0,24}(?:回复|回答|反思|输出|回覆|輸出)(?:中|里|裡|的|加)[^。]{0,24}|(?:返信|回答|"
        r"振り返り|出力)(?:に|の最後に|"
        r"には)[^。]{0,30}(?:含め|入れ|追加|書い|付け)|"
        r"(?:답변|응답|회고)(?:에|의 끝에)[^.]{0,30}(?:포함|추가|넣|붙여)"
    ),
]

FRAMES: Final = [
    r"<\|[a-z0-9_ ]{2,30}\|?>?",
    (
        r"\[/?(?:inst|sys|system|assistant|user_message|end_of_turn)\]|<</?sys>>|</?s>\s?\[|<(?:start|end)_of_turn>|"
        r"<end_of_utterance>|<eos>|<bos>|<\uff5c"
    ),
    (
        r"</?(?:system|assistant|developer|user|human|instructions?|sources?|context|memor(?:y|ies)|data|"
        r"earlier|goals|"
        r"prompt|untrusted|trusted|input|"
        r"output|tool_call|function_call|tool_response|document|message|policy|rules|think|thinking|answer|im_start|"
        r"im_end)(?:[ _][\w=\"' -]{0,40})?/?>"
    ),
    (
        r"(?:[<\u00ab\u2039\u27e8\u300a]\s?){2,9}/?(?:end|start|begin|sources?|system|context|goals|earlier|"
        r"memor|data|"
        r"instruction|prompt|user|assistant)"
    ),
    (
        r"\bend of (?:sources|earlier|goals|context|prompt|input|data|"
        r"memories)\b\s?[0-9a-f]{0,16}\s?(?:[>\u00bb\u203a\]=-]{2,}|$)"
    ),
    (
        r"(?:^|\s)(?:#{2,}|={3,}|-{3,}|\*{3,}|~{3,})\s?(?:end of |new |begin |start |override )?(?:system|"
        r"instructions?|"
        r"assistant|user|developer|prompt|response|sources|admin)"
        r"\b(?: (?:prompt|message|instructions?|override|note))?\s?(?:[:#=*~-]|$)"
    ),
    (
        r"^\W*(?:system|developer|administrator|admin|root)(?: (?:prompt|message|note|override|update|instructions?|"
        r"notice|alert|command|role|announcement))?s?\s?[:\]>)]\s?"
        r"(?=$|.{0,80}\b(?:you|your|ignore|must|always|never|reply|respond|answer|from now|new|set|add|print|reveal|"
        r"enter|mode|instructions?|assistant|output|"
        r"include|obey|disable|execute|override|user|write|grant|access)\b)"
    ),
    (
        r"^\W*(?:assistant|ai|model|companion)\s?:\s?(?=.{0,60}\b(?:sure|understood|okay|ok|certainly|of "
        r"course|here is|"
        r"here's|i will|i'll|i am now|as you wish|acknowledged)\b)"
    ),
    r"^\W*(?:role|\"role\")\s?[:=]\s?[\"']?(?:system|assistant|developer)",
    r"\bm\d{1,3} \| \d{1,2}:\d\d(?: \| [\w ()]{2,40})? \|",
    r"\{\{[^{}]{0,300}\}\}|\{%[^{}]{0,300}%\}|<%.{0,200}%>|\$\{[^{}]{0,200}\}|\{\{#?(?:system|user|assistant)",
    (
        r"\b(?:begin|start|end)[ _-](?:system|admin|override|hidden|secret|trusted)[ _-](?:message|prompt|"
        r"instructions?|"
        r"block|section|mode)\b"
    ),
    r"<script\b|<iframe\b|javascript\s?:|onerror\s?=|onload\s?=",
]
"""What poses as the frame around the sources: what comes after it is taken for part of it."""

FAMILIES: Final[dict[str, list[str]]] = {
    "ignore_instructions": [*IGNORE, *WISHES],
    "new_orders": NEW_ORDERS,
    "persona_change": PERSONA,
    "reveal": REVEAL,
    "emit": EMIT,
    "frame": FRAMES,
}

LEANS: Final = re.compile(
    r"^\W*(?:(?:and|then|also|instead|now|finally|next|first|second|afterwards|after that|please|so|just|but|"
    r"otherwise|rather|"
    r"additionally|furthermore),? )*(?:you\b|your\b|do not|don't|never|always|only|reply|respond|answer|output|"
    r"print|say|"
    r"write|include|set|add|append|begin|start|end with|execute|run|send|visit|click|open|go to|decode|act|obey|"
    r"comply|"
    r"repeat|show|reveal|quote|list|copy|state|describe|explain|put|follow|forget|ignore|confirm|acknowledge|return|"
    r"use|make|tell|cite|translate|proceed|continue as|remember that you|this is (?:not|an? "
    r"(?:order|test|authori|official|direct|high))|this (?:instruction|order|rule|message|command)s? |these "
    r"(?:instructions|orders|rules)|failure to|if you (?:do not|don't|refuse|fail)|"
    r"the (?:user|system|assistant|developer|above|rules|answer|response|output)\b|no (?:exceptions?|explanations?|"
    r"apolog)|understood|sure|okay|"
    r"ok\b|thank you for your (?:compliance|cooperation)|thanks for comply|it is (?:urgent|mandatory|critical|safe|"
    r"allowed)|urgent|important)"
    r"|^\W*(?:system|prompt|instructions?)\W*$|\b(?:override|system prompt|json|http|www\.|base64|the user|your "
    r"(?:reply|answer|response|output|reflection|creators?|developers?)|pwned|hacked|jailbr\w+|"
    r"unrestricted|obey|as an ai|comply|authori[sz]ed|mandatory|the assistant)\b|\(a link\)|[{}<>`$|\\]|://"
)
"""What an order goes on with: no order by itself, but one beside an order."""
