"""What the features of households are called."""

from datetime import timedelta

from feast import Entity, FeatureService, ValueType

from esteira.features.views import FOREVER, count, number, view

OWNER = "pumps@waterworks.example"
meter = Entity(name="meter", join_keys=["meter"], value_type=ValueType.INT64, description="A household's meter.")
meter_use = view(
    "meter_use",
    "What a household used lately.",
    [meter],
    [
        count("litres_last", "Litres of the last day read."),
        number("litres_mean_7d", "Mean litres a day over a week."),
        number("litres_mean_28d", "Mean litres a day over four weeks."),
    ],
    owner=OWNER,
    ttl=timedelta(days=28),
    reads="meter_readings",
    window="7d, 28d",
)
households = view(
    "households",
    "Who lives behind a meter.",
    [meter],
    [count("persons", "How many live there.")],
    owner=OWNER,
    ttl=FOREVER,
    reads="meters",
)
water_use_v1 = FeatureService(
    name="water_use_v1", description="What water_use looks at.", owner=OWNER, features=[meter_use, households]
)
