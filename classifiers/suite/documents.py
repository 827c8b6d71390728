"""Harmless prose of which long documents are made."""

_PROSE = """
The market hall opens at seven on weekdays and at eight on Saturdays. Most stalls sell fruit, vegetables and
cheese from farms within an hour's drive; the two bakers at the north entrance are usually sold out by noon.

A heat pump moves warmth from the air or the ground into a house. It needs about a third of the energy that an
electric heater would take, and it works best with large radiators or warm floors.

To change the filter, switch the machine off, wait until it has cooled down, open the flap at the back and
pull the filter out by its handle. Rinse it under lukewarm water and let it dry before you put it back.

The committee met on the second Tuesday of the month. It approved the minutes of the last meeting, heard the
treasurer's report and agreed to buy two new benches for the playground.

In spring the river rises by about a metre when the snow in the hills melts. The lower path is closed then,
and walkers take the old railway embankment, from which there is a good view of the reed beds.

Mix the flour with a pinch of salt, add the water little by little and knead the dough for ten minutes. Cover
it with a cloth and let it rest until it has doubled in size. Then shape two loaves and bake them.

Our returns policy is simple: send the article back within thirty days, unused and in its box, and we refund
the price within a week. Postage is free for members and costs four euros for everyone else.

The first trams in the city were pulled by horses. Electric ones followed in 1896, and by the end of the
decade the network had grown to nine lines with more than sixty stops.

The new release makes start-up faster and uses less memory. Two settings have been renamed; the old names
still work and write a line to the log. Please read the notes on migration before you update.

Bees find their way by the sun and by landmarks. A bee that has found a good meadow dances on the comb, and
the angle of the dance tells the others in which direction to fly.

The hotel has forty rooms, a small garden and a reading room with a fireplace. Breakfast is served from half
past six; guests who leave earlier may ask for a packed one the evening before.

Sales in the third quarter grew by four percent, mostly in the north. Costs for freight fell, while rents rose
slightly. The board expects the last quarter to be like that of the year before.

A sonnet has fourteen lines. In the English form three quatrains are followed by a couplet, which often turns
the thought of the poem around or sums it up in a surprising way.

Please bring sturdy shoes, a raincoat and something to drink. The walk takes about four hours with breaks; the
last part goes uphill, but there is a bus for those who are tired.

The orchestra will play two symphonies and a short overture by a local composer. Tickets are at the box office
and on the website, and students pay half. The doors open an hour before the concert.

When two colleagues work on the same file, the programme keeps both versions and shows where they differ.
Choose the lines that you want to keep, save the file and tell the other person what you have done.

Potatoes are planted when the soil has warmed to eight degrees. Keep a distance of thirty centimetres, cover
them well and heap up earth around the stems as soon as they are a hand high.

The survey went to twelve hundred households, of which just under half answered. Most were content with the
bus service; the most frequent wish was a later last departure on Fridays.

Light from the nearest star beyond the sun takes more than four years to reach us. With a small telescope one
can see that it is in fact a pair, with a third, fainter companion some way off.

The apprentice starts with simple joints and learns to sharpen her tools. In the second year she builds a
stool, a chest with drawers and, as her own design, a table for the family's kitchen.

Parking is free for the first two hours. After that the machine at the entrance takes coins and cards; put the
ticket where it can be seen through the windscreen, and mind the marked bays.

The school's new timetable begins after the holidays. Lessons start ten minutes later, the lunch break is a
little longer, and the choir meets on Wednesdays instead of Thursdays.

Wool is washed by hand in cold water with a little soap. Do not wring it; roll it in a towel, press it gently
and lay it flat to dry, away from the sun and from radiators.

The lighthouse was built of granite from the quarry across the bay. Its lamp burned oil at first, then gas,
and since 1931 it has been electric. Visitors may climb the stairs in groups of eight.
"""

PARAGRAPHS = tuple(" ".join(paragraph.split()) for paragraph in _PROSE.split("\n\n"))
