"""Values that people typically say, by type: a tagger should know a weekday that no training sentence happens to hold.

English only. Pure.
"""

from collections.abc import Mapping

from classifiers.policy import SlotType

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip

VALUES: Mapping[SlotType, tuple[str, ...]] = {
    "number": (
        "1", "2", "3", "4", "6", "8", "10", "12", "15", "20", "150", "one", "two", "three", "four", "five", "six",
        "seven", "eight", "nine", "ten", "eleven", "twenty", "a dozen", "a couple", "twenty five",
    ),
    "money": (
        "$20", "$5.50", "$1,200", "50 euros", "\u20ac99", "\u00a330", "120 dollars", "ten bucks", "19.99 EUR",
        "five pounds", "a hundred dollars", "20 quid", "75 cents", "2k euros",
    ),
    "date": (
        "today", "tonight", "tomorrow", "the day after tomorrow", "this weekend", "next week", "in two days",
        "in a week", "2027-02-14", "12/24", "the 5th", "the 21st", "tomorrow night",
        *_DAYS,
        *(f"{which} {day}" for which in ("next", "this") for day in _DAYS),
        *(f"{day} {('morning', 'afternoon', 'evening')[index % 3]}" for index, day in enumerate(_DAYS)),
        *(f"{month} {2 * index + 1}{'st' if not index else 'rd' if index == 1 else 'th'}"
          for index, month in enumerate(_MONTHS)),
        *(f"{2 * index + 4} {month[:3]}" for index, month in enumerate(_MONTHS)),
    ),
    "time": (
        "7 pm", "7pm", "8:15", "19:30", "9am", "6 o'clock", "noon", "midnight", "half past seven", "quarter to nine",
        "quarter past six", "seven thirty", "eight", "7", "12:30 pm", "11 in the morning", "6.45pm", "ten past five",
        "20:00", "in half an hour", "five in the afternoon",
    ),
}  # fmt: skip
