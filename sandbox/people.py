"""The data tables: invented names, companies, subjects and sentences. No logic, no randomness."""

from __future__ import annotations

from typing import NamedTuple

COMPANY = "North Sound Media"
DOMAIN = "northsound.example"


class FixedPerson(NamedTuple):
    username: str
    first: str
    last: str
    display: str
    role: str
    manager: str
    time_zone: str
    aliases: tuple[str, ...] = ()


# The personas every world begins with; generated reps follow them.
FIXED_PEOPLE: tuple[FixedPerson, ...] = (
    FixedPerson("mia", "Mia", "Berg", "Mia Berg", "rep", "lena", "Europe/Berlin",
                (f"m.berg@{DOMAIN}",)),
    FixedPerson("sam", "Sam", "Cole", "Sam Cole", "rep", "lena", "America/New_York"),
    FixedPerson("yuki", "Yuki", "Tanaka", "Yuki Tanaka 田中 ゆき", "rep", "lena", "Asia/Tokyo"),
    FixedPerson("lena", "Lena", "Hofmann", "Lena Hofmann", "manager", "", "Europe/Berlin"),
    FixedPerson("ada", "Ada", "Osei", "Ada Osei", "admin", "", "Europe/London"),
)  # fmt: skip

REP_FIRST = (
    "Noah", "Ines", "Jonas", "Priya", "Tomas", "Elif", "Marco", "Freya", "Owen", "Katya",
    "Hugo", "Amara", "Felix", "Rosa", "Liam", "Zofia", "Pablo", "Greta", "Kofi", "Nadia",
    "Erik", "Lucia", "Bruno", "Hana", "Arjun", "Clara", "Dario", "Signe", "Milan", "Tessa",
    "Victor", "Alba", "Anton", "Maeve", "Rafael", "Ida", "Jamal", "Vera", "Stefan", "Orla", "Leo",
)  # fmt: skip
REP_LAST = (
    "Lind", "Moreau", "Keller", "Nair", "Novak", "Demir", "Conti", "Holm", "Pryce", "Orlova",
    "Brandt", "Diallo", "Winter", "Campos", "Byrne", "Zielinska", "Vidal", "Albrecht", "Mensah",
    "Haddad", "Strand", "Ferrer", "Costa", "Sato", "Mehta", "Weiss", "Romano", "Dahl", "Kovac",
    "Vance", "Engel", "Ibarra", "Petrov", "Quinn", "Tavares", "Falk", "Okafor", "Lazar", "Jansen",
    "Doyle", "Marsh", "Yilmaz", "Thorne",
)  # fmt: skip
REP_ZONES = (
    "Europe/Berlin", "America/New_York", "Europe/London", "Asia/Tokyo",
    "America/Chicago", "Europe/Madrid", "Australia/Sydney",
)  # fmt: skip

# (company, the label of its .example domain)
CUSTOMERS: tuple[tuple[str, str], ...] = (
    ("Harbor Foods", "harbor"),
    ("Lumen Lighting", "lumen"),
    ("Café Ørsted", "cafe-orsted"),
    ("Bluefin Ferries", "bluefin"),
    ("Tanabe Optics", "tanabe"),
    ("Müller & Söhne Bau", "mueller-bau"),
    ("Peak Outfitters", "peakoutfitters"),
    ("Старый Мост Книги", "starymost"),
    ("Granite Credit Union", "granitecu"),
    ("Orchard Pharmacy", "orchardpharm"),
    ("Velvet Cinema Group", "velvetcinema"),
    ("Northgate Motors", "northgate"),
    ("Sable & Finch Jewellers", "sablefinch"),
    ("Alder Valley Wines", "aldervalley"),
    ("Kestrel Airways", "kestrelair"),
    ("Copper Kettle Brewing", "copperkettle"),
    ("Solstice Solar", "solstice"),
    ("Marigold Garden Centre", "marigold"),
    ("Quayside Property", "quayside"),
    ("Redwood Dental", "redwooddental"),
    ("Polar Ice Arena", "polararena"),
    ("Linden Furniture", "linden"),
    ("Tidewater Insurance", "tidewater"),
    ("Papaya Mobile", "papayamobile"),
    ("Winterhall Theatre", "winterhall"),
    ("Oak & Barrel", "oakbarrel"),
    ("Sunfield Organics", "sunfield"),
    ("Meridian Hotels", "meridianhotels"),
)
# For worlds that need more customers than the table above: first word x second word.
MORE_FIRST = (
    "Amber", "Birch", "Cobalt", "Delta", "Ember", "Fable", "Glacier", "Hazel", "Indigo", "Juniper",
    "Kite", "Lark", "Mistral", "Nimbus", "Opal", "Prairie", "Quartz", "Raven", "Sierra", "Tundra",
    "Umber", "Vista", "Willow", "Zephyr",
)  # fmt: skip
MORE_SECOND = (
    "Logistics", "Bakery", "Clinics", "Sports", "Travel", "Electronics", "Bank", "Interiors",
    "Seafood", "Fitness", "Books", "Cycles", "Energy", "Toys", "Fashion", "Catering",
)  # fmt: skip
# Companies that write to our reps and are nobody's customer.
PROSPECTS: tuple[tuple[str, str], ...] = (
    ("Brightwater Events", "brightwater"),
    ("Castle Print", "castleprint"),
    ("Delmar Studios", "delmar"),
    ("Fern & Fox Agency", "fernfox"),
    ("Halcyon Research", "halcyon"),
    ("Juno Recruiting", "juno-recruiting"),
)


class ContactName(NamedTuple):
    first: str
    last: str
    local: str
    language: str


CONTACT_NAMES: tuple[ContactName, ...] = (
    ContactName("Javier", "Ruiz", "j.ruiz", "en"),
    ContactName("Kerry", "Lee", "k.lee", "en"),
    ContactName("Ana", "Sato", "ana", "en"),
    ContactName("葵", "佐藤", "aoi.sato", "ja"),
    ContactName("Søren", "Ørsted", "soren", "en"),
    ContactName("Lukas", "Müller", "l.mueller", "de"),
    ContactName("Ольга", "Смирнова", "o.smirnova", "ru"),
    ContactName("Grace", "Whitfield", "grace.whitfield", "en"),
    ContactName("Łukasz", "Żak", "lukasz.zak", "pl"),
    ContactName("Élodie", "Lefèvre", "elodie.lefevre", "fr"),
    ContactName("健", "山本", "ken.yamamoto", "ja"),
    ContactName("Dan", "O'Hara", "dan.ohara", "en"),
    ContactName("Fatima", "Al-Sayed", "fatima", "en"),
    ContactName("أحمد", "الفارسي", "ahmed.alfarsi", "ar"),
    ContactName("Beatrix", "Vogel", "b.vogel", "de"),
    ContactName("明", "王", "ming.wang", "zh"),
    ContactName("Theo", "Papadakis", "theo.p", "en"),
    ContactName("Ruth", "Adeyemi", "ruth.adeyemi", "en"),
    ContactName("Иван", "Кузнецов", "i.kuznetsov", "ru"),
    ContactName("Camille", "Dubois", "camille", "fr"),
    ContactName("Wren", "Castellano", "wren.castellano", "en"),
    ContactName("지우", "김", "jiwoo.kim", "ko"),
    ContactName("Peter", "van Dijk", "peter.vandijk", "en"),
    ContactName("Marta", "Kowalska", "marta.kowalska", "pl"),
    ContactName("Sunil", "Rao", "sunil.rao", "en"),
    ContactName("Heidi", "Bauer", "heidi.bauer", "de"),
    ContactName("Carlos", "Mendes", "carlos.mendes", "en"),
    ContactName("Yara", "Haddad", "yara.haddad", "en"),
    ContactName("Colin", "MacLeod", "colin.macleod", "en"),
    ContactName("Noor", "Rahman", "noor.rahman", "en"),
    ContactName("さくら", "伊藤", "sakura.ito", "ja"),
)

# Subjects of a conversation with a customer; "{c}" is the company, "{n}" a number.
SUBJECTS: dict[str, tuple[str, ...]] = {
    "en": (
        "Q3 media plan",
        "Offer {n}",
        "Insertion order {n}",
        "Logo files for {c}",
        "Artwork deadline for issue {n}",
        "Invoice {n} – a question",
        "Spring campaign for {c}",
        "Banner sizes",
        "Proof of the double page",
        "Rates for the weekend edition",
        "Thursday's call",
        "Renewal of our package",
        "Circulation figures",
        "Change of dates",
        "Radio spots, week {n}",
        "New contact person at {c}",
    ),
    "de": (
        "Mediaplan für das dritte Quartal",
        "Angebot {n}",
        "Druckfreigabe für die Beilage",
        "Rückfrage zur Rechnung {n}",
        "Änderung der Anzeige für {c}",
        "Terminvorschläge nächste Woche",
    ),
    "fr": (
        "Devis n° {n}",
        "Visuels pour la campagne d'été",
        "Réservation de l'espace page {n}",
        "Réunion de jeudi",
        "Une question sur la facture {n}",
    ),
    "pl": (
        "Oferta nr {n}",
        "Materiały do kampanii {c}",
        "Pytanie o fakturę {n}",
        "Termin nadesłania projektu graficznego",
    ),
    "ru": (
        "Медиаплан на третий квартал",
        "Счёт № {n}",
        "Макет для весенней кампании",
        "Вопрос о размещении на развороте",
    ),
    "ja": (
        "第3四半期の広告プランについて",
        "お見積り {n} の件",
        "原稿締切のご確認",
        "来週の打ち合わせについて",
        "請求書 {n} のご質問",
    ),
    "zh": ("关于第三季度的广告计划", "报价单 {n}", "海报设计稿请确认"),
    "ko": ("3분기 광고 계획 문의", "견적서 {n} 관련", "시안 확인 부탁드립니다"),
    "ar": ("خطة الإعلانات للربع الثالث", "عرض السعر {n}", "ملفات الشعار"),
}

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "Thank you for the quick answer.",
        "I have attached the latest version.",
        "Could you confirm the dates by Friday?",
        "The budget is fine on our side.",
        "Our designer will send the files tomorrow morning.",
        "We would like to move the start by one week.",
        "Please send the rates for two full pages as well.",
        "Let us talk about it on Thursday, any time after ten suits me.",
        "The proof looks good apart from the phone number.",
        "I will come back to you once the board has decided.",
        "Is the back page still free in the second half of the month?",
        "We were very happy with the response to the last campaign.",
        "Sorry for the silence, it has been a busy week here.",
        "The invoice should go to our new address.",
    ),
    "de": (
        "Vielen Dank für die schnelle Rückmeldung.",
        "Anbei finden Sie die aktuelle Fassung.",
        "Können Sie uns die Termine bis Freitag bestätigen?",
        "Das Budget ist freigegeben.",
        "Bitte schicken Sie uns auch den Preis für zwei ganze Seiten.",
        "Wir würden den Start gern um eine Woche verschieben.",
    ),
    "fr": (
        "Merci pour votre réponse rapide.",
        "Vous trouverez ci-joint la dernière version.",
        "Pourriez-vous confirmer les dates avant vendredi ?",
        "Le budget nous convient.",
        "Nous aimerions décaler le début d'une semaine.",
    ),
    "pl": (
        "Dziękuję za szybką odpowiedź.",
        "W załączniku najnowsza wersja.",
        "Czy mogą Państwo potwierdzić terminy do piątku?",
        "Budżet jest zatwierdzony.",
    ),
    "ru": (
        "Спасибо за быстрый ответ.",
        "Во вложении последняя версия макета.",
        "Подтвердите, пожалуйста, даты до пятницы.",
        "Бюджет согласован.",
    ),
    "ja": (
        "早速のご返信ありがとうございます。",
        "最新版を添付いたします。",
        "金曜日までに日程をご確認いただけますでしょうか。",
        "予算は承認されました。",
    ),
    "zh": ("感谢您的快速回复。", "附件是最新版本。", "请在周五之前确认日期。", "预算已经批准。"),
    "ko": ("빠른 답변 감사합니다.", "최신 버전을 첨부합니다.", "금요일까지 일정을 확인해 주세요."),
    "ar": (
        "شكرا على الرد السريع.",
        "تجدون النسخة الأخيرة في المرفقات.",
        "نرجو تأكيد المواعيد قبل يوم الجمعة.",
    ),
}

GREETING = {
    "en": "Hello {x},",
    "de": "Guten Tag {x},",
    "fr": "Bonjour {x},",
    "pl": "Dzień dobry {x},",
    "ru": "Здравствуйте, {x}!",
    "ja": "{x} 様",
    "zh": "{x}，您好：",
    "ko": "{x} 님께,",
    "ar": "مرحبا {x}،",
}
CLOSING = {
    "en": "Kind regards",
    "de": "Mit freundlichen Grüßen",
    "fr": "Bien cordialement",
    "pl": "Pozdrawiam",
    "ru": "С уважением",
    "ja": "よろしくお願いいたします。",
    "zh": "此致 敬礼",
    "ko": "감사합니다.",
    "ar": "مع أطيب التحيات",
}

INTERNAL_SUBJECTS = (
    "Team lunch on Wednesday", "Who covers the fair?", "Rate card {n}", "Page count for issue {n}",
    "Handover before my holiday", "Coffee machine again", "Numbers for the Monday meeting",
    "Holiday calendar", "Can you take the call with {c}?", "Draft slides", "Parking next week",
    "New template for offers",
)  # fmt: skip
INTERNAL_SENTENCES = (
    "Can you have a look before noon?", "I put the file on the shared drive.",
    "Fine with me.", "Let us keep it short this time.", "I am out of the office tomorrow.",
    "Lena asked for the figures by four.", "Thanks, that saved my day.",
    "Please add your names to the list.",
)  # fmt: skip

PERSONAL = (
    ("Dinner on Saturday?", "Shall we try the new place by the river?"),
    ("Photos from the lake", "I finally uploaded them, see the album."),
    ("Football practice", "Practice moves to six o'clock this week."),
    ("Re-reading that book", "You were right, the second half is better."),
    ("Flat viewing", "They have two slots on Friday afternoon."),
    ("誕生日おめでとう！", "素敵な一年になりますように。"),
    ("Пикник в воскресенье", "Возьмите с собой что-нибудь к чаю."),
    ("Grandma's recipe", "It is two eggs, not three. She checked."),
)  # fmt: skip
PERSONAL_PEOPLE = (
    ("Nele Brooks", "nele.brooks@quietpost.example"),
    ("Oskar Lindqvist", "oskar@fjordmail.example"),
    ("Мария Волкова", "m.volkova@severmail.example"),
    ("浩 中村", "hiroshi.n@tokyopost.example"),
    ("Jo", "jo77@quietpost.example"),
    ("Running club", "club@hillrunners.example"),
)

# (sender name, address, subject, text)
NEWSLETTERS = (
    (
        "Ad Trade Weekly",
        "newsletter@adtrade.example",
        "Ad Trade Weekly, issue {n}",
        "Ten stories you should not miss this week.",
    ),
    (
        "Print Today",
        "news@printtoday.example",
        "Paper prices: what to expect",
        "Mills announce new prices for the coming quarter.",
    ),
    (
        "Media Jobs",
        "jobs@mediajobs.example",
        "{n} new jobs near you",
        "New openings that match your profile.",
    ),
    (
        "City Events",
        "hello@cityevents.example",
        "What is on this weekend",
        "Markets, music and a night at the museum.",
    ),
    (
        "Cloud Desk",
        "updates@clouddesk.example",
        "What is new in Cloud Desk",
        "Faster search, dark mode and a new calendar.",
    ),
    (
        "Fjord Airlines",
        "offers@fjordairlines.example",
        "Autumn fares from {n}",
        "Book until Sunday and save.",
    ),
    (
        "Bücherstube am Markt",
        "brief@buecherstube.example",
        "Neuerscheinungen im Herbst",
        "Unsere Empfehlungen für lange Abende.",
    ),
    (
        "デザイン通信",
        "magazine@designtsushin.example",
        "今週のデザイン通信 第{n}号",
        "今週の注目記事をお届けします。",
    ),
    (
        "Office Supply Direct",
        "deals@officesupply.example",
        "{n} % off toner",
        "Only while stocks last.",
    ),
)
NOTICES = (
    (
        "Cloud Desk",
        "noreply@clouddesk.example",
        "Your weekly storage report",
        "You are using 41 % of your storage.",
    ),
    (
        "Phone System",
        "no-reply@callbridge.example",
        "Missed call from +49 30 555 0{n}",
        "You missed a call at your desk.",
    ),
    (
        "Ticket Desk",
        "noreply@ticketdesk.example",
        "[Ticket {n}] has been updated",
        "A colleague added a comment.",
    ),
    (
        "Travel Portal",
        "bookings@railportal.example",
        "Your booking {n}",
        "Have a good journey. Your seat is in coach 7.",
    ),
    (
        "Parcel Service",
        "noreply@parcelbee.example",
        "Parcel {n} will arrive tomorrow",
        "Please leave your preferred place.",
    ),
    ("Payroll", f"payroll@{DOMAIN}", "Payslip available", "Your payslip is ready in the portal."),
)
SPAM = (
    (
        "Prize Centre",
        "win@luckydraw.example",
        "You have been chosen!!!",
        "Claim your prize within 24 hours.",
    ),
    (
        "SEO Expert",
        "rank@numberone.example",
        "Quick question about your web site",
        "We can bring you to the first place.",
    ),
    ("Pharmacy24", "sale@pills.example", "80 % discount", "No prescription needed."),
    (
        "Dr. Barrister",
        "fund@trustme.example",
        "CONFIDENTIAL BUSINESS PROPOSAL",
        "I have an urgent matter of mutual benefit.",
    ),
)
DRAFT_SUBJECTS = ("Draft: offer", "Notes for the call", "", "Idea for the winter special")
SELF_SUBJECTS = (
    "Note to self: passport",
    "Shopping list",
    "Numbers for tomorrow",
    "Read this later",
)

_OFFICE = "application/vnd.openxmlformats-officedocument"
ATTACHMENTS = (
    ("offer-{n}.pdf", "application/pdf", 84_000),
    ("logo.png", "image/png", 23_000),
    ("media-plan.xlsx", f"{_OFFICE}.spreadsheetml.sheet", 41_000),
    ("Anschreiben Müller.docx", f"{_OFFICE}.wordprocessingml.document", 33_000),
    ("原稿.pdf", "application/pdf", 120_000),
    ("proof-page-{n}.jpg", "image/jpeg", 310_000),
)

MEETING_TITLES = (
    "Media plan with {c}", "Visit to {c}", "Call: {c}", "Lunch with {c}", "Contract review, {c}",
)  # fmt: skip
OWN_TITLES = (
    "Write the offer", "Dentist", "Focus time", "Expenses", "Prepare the Monday meeting",
    "Pick up the proofs",
)  # fmt: skip
PLACES = ("Room Baltic", "Room Aurora", "Phone", "Café on the corner", "", "Their office")
