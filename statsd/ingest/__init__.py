"""From a row to the commit, and through an outage.

request   a handler in `streams/x/post.py` calls `accept.events`
accept    reads the body, decodes and checks every event, gives each an id, makes its row
writer    takes whatever waits: up to 5,000 rows make one batch
statement `sql/x/store.sql`: insert, skip known ids, fold into the totals; then the commit
verdict   stored, known, spooled or refused, for each row; the handler words the answer
outage    no commit in time: the batch goes to the spool (`spool`, `segments`) and is replayed in order
NOTIFY    after the commit `live/channel.py` tells every server which stream changed
client    `live/topics.py` asks once and sends the same bytes to every client
"""
