"""Words from which the corpus is made: names, places, goods, file names, and sentences over them."""

from __future__ import annotations

import random


def _words(text: str, separator: str | None = None) -> list[str]:
    return text.split(separator)


FIRST_NAMES = _words(
    "Ada Alan Alice Amara Ana Anders Anna Antonio Aoife Ben Björn Carlos Chen Chloé Daniel David "
    "Diego Elena Emma Eva Fatima Felix François Grace Hannah Hiro Hugo Ines Ivan Jack Jane Jens John "
    "José Julia Kenji Laura Leila Liam Lin Lucas Maria Marta Max Mei Mia Mohammed Nadia Nina Noah "
    "Nora Olga Oliver Omar Oscar Paul Petra Priya Rosa Samuel Sara Sofia Thomas Tom Uma Vera Victor "
    "Wei Yuki Zoë Zuzana Łukasz Åsa 健太 美咲 Мария Δημήτρης"
)
LAST_NAMES = _words(
    "Andersson Bauer Berg Brown Chen Clark Costa Cruz Díaz Diallo Dubois Evans Fischer Fernandez "
    "Garcia Green Gupta Hansen Hill Ito Ivanov Jansen Johnson Jones Kaya Khan Kim King Kowalski "
    "Kumar Larsen Lee Lewis Lopez Martin Meyer Miller Moore Müller Nakamura Nguyen Novak Okafor "
    "Olsen Patel Pérez Popescu Rossi Sato Schmidt Silva Singh Smith Suzuki Tanaka Taylor Walker Wang "
    "Weber White Williams Wilson Wright Yamada Young Zhang Žižek 田中 Петров"
)
#: city, country, ISO country code, longitude and latitude in degrees
CITIES = (
    ("Amsterdam", "Netherlands", "NL", 4.9041, 52.3676),
    ("Athens", "Greece", "GR", 23.7275, 37.9838),
    ("Barcelona", "Spain", "ES", 2.1734, 41.3851),
    ("Berlin", "Germany", "DE", 13.405, 52.52),
    ("Boston", "United States", "US", -71.0589, 42.3601),
    ("Buenos Aires", "Argentina", "AR", -58.3816, -34.6037),
    ("Cairo", "Egypt", "EG", 31.2357, 30.0444),
    ("Cape Town", "South Africa", "ZA", 18.4241, -33.9249),
    ("Chicago", "United States", "US", -87.6298, 41.8781),
    ("Copenhagen", "Denmark", "DK", 12.5683, 55.6761),
    ("Delhi", "India", "IN", 77.1025, 28.7041),
    ("Dublin", "Ireland", "IE", -6.2603, 53.3498),
    ("Helsinki", "Finland", "FI", 24.9384, 60.1699),
    ("Hong Kong", "China", "CN", 114.1694, 22.3193),
    ("Istanbul", "Türkiye", "TR", 28.9784, 41.0082),
    ("Kyiv", "Ukraine", "UA", 30.5234, 50.4501),
    ("Kraków", "Poland", "PL", 19.945, 50.0647),
    ("Lagos", "Nigeria", "NG", 3.3792, 6.5244),
    ("Lima", "Peru", "PE", -77.0428, -12.0464),
    ("Lisbon", "Portugal", "PT", -9.1393, 38.7223),
    ("London", "United Kingdom", "GB", -0.1276, 51.5072),
    ("Lyon", "France", "FR", 4.8357, 45.764),
    ("Madrid", "Spain", "ES", -3.7038, 40.4168),
    ("Melbourne", "Australia", "AU", 144.9631, -37.8136),
    ("Mexico City", "Mexico", "MX", -99.1332, 19.4326),
    ("Montréal", "Canada", "CA", -73.5674, 45.5019),
    ("Nairobi", "Kenya", "KE", 36.8219, -1.2921),
    ("New York", "United States", "US", -74.006, 40.7128),
    ("Oslo", "Norway", "NO", 10.7522, 59.9139),
    ("Paris", "France", "FR", 2.3522, 48.8566),
    ("Prague", "Czechia", "CZ", 14.4378, 50.0755),
    ("Rome", "Italy", "IT", 12.4964, 41.9028),
    ("São Paulo", "Brazil", "BR", -46.6333, -23.5505),
    ("Seoul", "South Korea", "KR", 126.978, 37.5665),
    ("Singapore", "Singapore", "SG", 103.8198, 1.3521),
    ("Stockholm", "Sweden", "SE", 18.0686, 59.3293),
    ("Sydney", "Australia", "AU", 151.2093, -33.8688),
    ("Tokyo", "Japan", "JP", 139.6503, 35.6762),
    ("Toronto", "Canada", "CA", -79.3832, 43.6532),
    ("Vienna", "Austria", "AT", 16.3738, 48.2082),
    ("Zürich", "Switzerland", "CH", 8.5417, 47.3769),
    ("東京", "日本", "JP", 139.6917, 35.6895),
)
STREETS = _words(
    "Main Street|High Street|Park Avenue|Oak Lane|Station Road|Church Street|Mill Road|"
    "Rue de la Paix|Bahnhofstraße|Calle Mayor|Via Roma|King Street|River Road|Maple Avenue|"
    "Hill Street|Market Square|Queen Street|Lake View",
    "|",
)
ADJECTIVES = _words(
    "active big blue bright cheap clean clear cold common dark deep digital early easy empty fast "
    "final flat free fresh full good gray green hard heavy high hot internal large late light local "
    "long low main modern narrow new next old open orange plain portable private public quick quiet "
    "rapid rare ready red remote round safe sharp short simple small smart smooth soft solid stable "
    "steel strong sweet tall thin tiny warm white wide wild wooden young"
)
NOUNS = _words(
    "account address album animal apple area article author backup bag battery bike bird boat book "
    "bottle box bread bridge building button cable camera car card case cat chair channel city class "
    "client clock cloud code coffee color column comment company computer container contract country "
    "course cup customer data day desk device dog door driver editor email engine event feature "
    "field file filter flower folder forest frame game garden gate glass group guitar hat home horse "
    "hotel house image index island item job journal kernel key keyboard kitchen lamp language layer "
    "leaf letter library light line link list lock machine map market member message method mirror "
    "model module month mouse museum network node note number object office order page paper parser "
    "part party password path payment pen phone picture place plan plant player point policy price "
    "printer product profile project queue radio record region report request resource result river "
    "road room route row rule sample school screen sensor server service session shelf ship shop "
    "signal song source space star station status stone store story stream street string student "
    "system table tag task team test text ticket time token tool train tree user value vehicle "
    "version video view village voice wall watch water week wheel window word worker year zone"
)
VERBS = _words(
    "add apply archive build buy call change check clean close compile copy count create delete "
    "deploy draw edit enable export fetch find fix format import install join list load lock merge "
    "move open parse paint plan print publish read remove rename repair replace reset restart run "
    "save scan search select sell send sort start stop sync test track update upload validate wait "
    "wash watch write"
)
COLORS = _words(
    "red green blue yellow black white orange purple gray brown pink teal #ff0000 #00ff7f #1e90ff"
)
STATUSES = _words(
    "active inactive pending completed cancelled draft open closed failed running paid shipped queued"
)
CURRENCIES = _words("EUR USD GBP JPY CHF SEK INR BRL")
UNITS = _words("kg g lb m cm km l ml °C % pcs h min s ms")
LANGUAGES = _words("en de fr es it ja pt ru zh ar")
JOBS = _words(
    "engineer|teacher|nurse|designer|data scientist|baker|accountant|architect|driver|chef|"
    "researcher|manager|electrician|journalist|lawyer|librarian|mechanic|musician|pharmacist|"
    "translator",
    "|",
)
EXTENSIONS = _words("txt md py json csv png jpg pdf html css js ts toml yaml sh log xml cpp h rs")
LICENSES = _words("MIT Apache-2.0 BSD-3-Clause GPL-3.0-only ISC MPL-2.0 Unlicense")
SYMBOLS = ("☕", "🚀", "✅", "→", "…", "€", "–", "ñ", "ß", "你好", "привет", "مرحبا", "😀", "½", "µ")
_SENTENCES = (
    "The {a} {n} is {b}.",
    "Please {v} the {n}.",
    "A {a} {n} for every {m}.",
    "{V} the {n} before you {w} the {m}.",
    "This {n} needs a {a} {m}.",
    "The {n} was not found.",
    "We {v} and {w} {n}s.",
    "No {n} in the {m}.",
    "Every {n} has a {a} {m} and a {b} one.",
    "Can you {v} my {n}?",
    'It\'s {a}, {b} and "{n}"-like.',
    "How to {v} a {n}",
    "{V} {n}s in the {m}",
    "The {m} of the {n}",
    "{A} {n} with {b} {m}",
    "{A} {n}",
)


def sentence(rng: random.Random) -> str:
    """One sentence or title; now and then with a symbol outside ASCII."""
    text = rng.choice(_SENTENCES).format(
        a=(a := rng.choice(ADJECTIVES)),
        A=a.capitalize(),
        b=rng.choice(ADJECTIVES),
        n=rng.choice(NOUNS),
        m=rng.choice(NOUNS),
        v=(v := rng.choice(VERBS)),
        V=v.capitalize(),
        w=rng.choice(VERBS),
    )
    return f"{text} {rng.choice(SYMBOLS)}" if rng.random() < 0.04 else text


def text(rng: random.Random) -> str:
    """One to three sentences, rarely with a line break or a back slash in between."""
    joint = rng.choice((" ",) * 12 + ("\n", "\t", " \\ "))
    return joint.join(sentence(rng) for _ in range(rng.choice((1, 1, 1, 2, 3))))


def full_name(rng: random.Random) -> str:
    """A first and a last name."""
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"


def email(rng: random.Random, name: str | None = None) -> str:
    """An address under a domain that is reserved for examples."""
    plain = (name or full_name(rng)).lower().encode("ascii", "ignore").decode().split() or [rng.choice(NOUNS)]
    domain = rng.choice(("example.com", "example.org", "mail.example"))
    return f"{rng.choice(('.', '_', '')).join(plain)}@{domain}"


def url(rng: random.Random) -> str:
    """An https address under a domain that is reserved for examples."""
    path = "/".join(rng.choice(NOUNS) for _ in range(rng.randint(0, 3)))
    query = f"?{rng.choice(NOUNS)}={rng.randint(1, 99)}" if rng.random() < 0.2 else ""
    host = rng.choice(("", "www.", "api.", "docs.")) + "example." + rng.choice(("com", "org"))
    return f"https://{host}/{path}{query}"


def date(rng: random.Random) -> str:
    """A calendar date, YYYY-MM-DD."""
    return f"{rng.randint(1990, 2026)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def clock_time(rng: random.Random) -> str:
    """A time of day, HH:MM:SS."""
    return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}"


def timestamp(rng: random.Random) -> str:
    """An RFC 3339 date and time."""
    return f"{date(rng)}T{clock_time(rng)}{rng.choice(('Z', 'Z', '+00:00', '+02:00', '.250Z'))}"


def hex_id(rng: random.Random, digits: int = 8) -> str:
    """Random lower-case hexadecimal digits."""
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def uuid(rng: random.Random) -> str:
    """A random UUID of version 4."""
    h = hex_id(rng, 32)
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{rng.choice('89ab')}{h[17:20]}-{h[20:]}"


def version(rng: random.Random) -> str:
    """A semantic version."""
    return f"{rng.randint(0, 9)}.{rng.randint(0, 20)}.{rng.randint(0, 9)}"


def slug(rng: random.Random, joint: str = "-") -> str:
    """One or two words as an identifier."""
    return joint.join([rng.choice(ADJECTIVES), rng.choice(NOUNS)][rng.randint(0, 1) :])
