"""A simulated product: its customers and their people. Pure; the same seed gives the same.

Days are counted from 0, the first of the history; the last, `TODAY`, is the one on which the demo
runs, and more may follow.
"""

import random
from dataclasses import dataclass
from datetime import date, timedelta

SEED = 20260528
DAYS = 90
TODAY = DAYS - 1

NAMES = (
    *("Aalto Logistics", "Alder Schools", "Amber Dental", "Arbor Press", "Banyan Health"),
    *("Basalt Works", "Birch & Sons", "Bluff Brewing", "Cedar Bikes", "Cinder Steel"),
    *("Cobalt Mining", "Coral Cruises", "Delft Optics", "Dune Surf", "Ebb Marine"),
    *("Elm Tutors", "Emberly", "Fern Nurseries", "Fjord Foods", "Flint Coffee"),
    *("Gale Turbines", "Granite Bank", "Grove Yoga", "Harbor Freight", "Hazel Bakery"),
    *("Helio Solar", "Ibis Travel", "Indigo Print", "Iris Florists", "Ivy Academy"),
    *("Jade Ceramics", "Juniper Legal", "Kelp Labs", "Kestrel Air", "Koi Design"),
    *("Larch Carpentry", "Lichen Bio", "Linden Law", "Lumen Schools", "Maple Insurance"),
    *("Marlow Books", "Mesa Realty", "Mistral Sails", "Moss Outdoor", "Nettle Tea"),
    *("Nimbus Hosting", "North Rail", "Oak Furniture", "Opal Jewellers", "Osprey Retail"),
    *("Pebble Toys", "Pinecrest Homes", "Plum Catering", "Quarry Tools", "Quill Media"),
    *("Rapid Couriers", "Reed Music", "Ridge Security", "Rosewood Hotels", "Saffron Kitchens"),
    *("Sable Fashion", "Shale Energy", "Sparrow Parcels", "Summit Gyms", "Teal Textiles"),
    *("Thistle Farms", "Tidewater Shipping", "Topaz Games", "Umber Studio", "Upland Dairy"),
    *("Vale Vets", "Vela Robotics", "Verge Mobility", "Violet Cosmetics", "Walnut Wines"),
    *("Willow Clinics", "Wren Software", "Xylo Instruments", "Yarrow Gardens", "Zephyr Wind"),
)
OWNERS = ("ana@example.com", "ben@example.com", "chloe@example.com", "daichi@example.com")
FEATURES = ("board", "search", "report", "export", "share", "comment", "automation", "import")
SIZES = {"E": 14, "M": 28, "S": 38}
"""How many customers are enterprises, mid-sized and small."""
SEATS = {"E": (50, 110), "M": (14, 36), "S": (3, 9)}
PRICE_PER_SEAT = {"E": 38, "M": 32, "S": 24}
COUNTRIES = ("DE", "US", "JP")
STORIES = {
    "wavering": 9,
    "steady": 22,
    "growing": 9,
    "onboarding": 6,
    "fading": 7,
    "silent": 4,
    "champion left": 5,
    "support storm": 5,
    "seasonal": 4,
    "returning": 4,
    "never at home": 3,
    "churned": 2,
}
"""What becomes of how many customers. Those who waver are no small ones."""


@dataclass(frozen=True)
class Person:
    """Somebody who uses the product, and the features that they know."""

    id: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """A customer, and its story, which unfolds between two days; `level` is what it comes to."""

    id: str
    name: str
    size: str
    seats: int
    country: str
    owner: str
    renews_on_day: int
    story: str
    begins: int
    ends: int
    level: float
    people: tuple[Person, ...]

    @property
    def first_day(self) -> int:
        """The day on which its contract starts, or our history does."""
        return self.begins if self.story == "onboarding" else 0

    @property
    def champion(self) -> Person:
        """Whoever brought the product in."""
        return self.people[0]

    def activity(self, day: int) -> float:
        """Which part of its people is there on a day; 1 is as usual."""
        part = min(max((day - self.begins) / (self.ends - self.begins), 0.0), 1.0)
        during = 0 < part < 1
        return {
            "growing": 0.5 + 0.5 * part,
            "onboarding": 0.3 + 0.7 * part if day >= self.begins else 0.0,
            "wavering": 1 - (1 - self.level) * part,
            "fading": 1 - 0.95 * part,
            "silent": 0.0 if part else 1.0,
            "champion left": 1 - 0.65 * part,
            "support storm": 0.7 if during else 1.0,
            "seasonal": 0.1 if during else 1.0,
            "returning": 0.0 if during else 1.0,
            "never at home": 0.2,
            "churned": 1 - part,
        }.get(self.story, 1.0)


SPANS = {
    "growing": ((5, 25), (60, 85)),
    "onboarding": ((15, 55), (25, 35)),
    "wavering": ((30, 36), (18, 24)),
    "support storm": ((66, 74), (8, 12)),
    "seasonal": ((30, 40), (24, 34)),
    "returning": ((28, 32), (33, 34)),
    "churned": ((20, 30), (30, 40)),
}
"""On which day each story begins, and how many days it takes."""
SPAN = ((28, 50), (16, 24))


def accounts(seed: int = SEED) -> list[Account]:
    """The customers."""
    chance = random.Random(seed)
    stories = [story for story, count in STORIES.items() for _ in range(count)]
    sizes = [size for size, count in SIZES.items() for _ in range(count)]
    larger = sizes[: -SIZES["S"]]
    chance.shuffle(larger)
    wavering, others = larger[: STORIES["wavering"]], larger[STORIES["wavering"] :]
    others += sizes[-SIZES["S"] :]
    chance.shuffle(others)
    names = chance.sample(NAMES, len(NAMES))
    return [
        _account(random.Random(f"{seed}/{name}"), name, size, story)
        for name, size, story in sorted(zip(names, wavering + others, stories, strict=True))
    ]


def _account(chance: random.Random, name: str, size: str, story: str) -> Account:
    first, length = SPANS.get(story, SPAN)
    begins = chance.randrange(*first)
    account_id = name.lower().replace(" & ", "-").replace(" ", "-")
    seats = chance.randint(*SEATS[size])
    known = chance.sample(FEATURES, chance.randint(5, 8))
    people = [
        Person(f"{account_id}/{number:02}", tuple(chance.sample(known, chance.randint(2, 4))))
        for number in range(max(2, round(seats * chance.uniform(0.65, 0.95))))
    ]
    return Account(
        id=account_id,
        name=name,
        size=size,
        seats=seats,
        country=chance.choice(COUNTRIES),
        owner=chance.choice(OWNERS),
        renews_on_day=chance.randrange(30, 400),
        story=story,
        begins=begins,
        ends=begins + chance.randrange(*length),
        level=chance.uniform(0.07, 0.18),
        people=tuple(people),
    )


def first_date(today: date) -> date:
    """The date of day 0."""
    return today - timedelta(days=TODAY)
