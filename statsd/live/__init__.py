"""From a commit to every open client.

NOTIFY    a writer that committed announces its stream, at most four times a second (`channel`)
LISTEN    every server hears it on one connection that notices its own death
topic     a topic of the stream is marked as changed (`topics`)
snapshot  one query for all clients, however many there are
framing   one encoding for each protocol and each wish of a client
client    each has an outbox that holds the latest frame of a topic
socket    `websocket` and `sse` write it; whoever takes nothing for 30 s is closed
page      `static/assets/wire/` reads the frame, and the panel redraws
"""
