"""The proof: a scratch server is loaded and broken, and every acknowledged event is looked for afterwards.

plan       which faults come when, from a seed
scratch    the servers, the database and the disks that may be broken, in a temporary folder
load       clients that use every way in
ledger     what they sent, and what was acknowledged
faults     how each fault is made, and mended
audit      what is stored, what is lost or doubled, and whether totals equal a recount
report     the table of it
"""
