// What pages cannot do without a script. Each works without it, too, only less quickly.
"use strict";
