"""From a commit to every open client.

NOTIFY    after a commit, `channel` tells all servers which stream changed, at a pace (STATS_PACE_MS)
LISTEN    every server listens on a connection of its own, and notices when it is dead
topic     the topics that show the stream are marked as changed (`topics`)
snapshot  one query per topic, however many clients it has
framing   wraps the snapshot as a frame of the client's protocol, once for all clients that share it
client    is written the frame at once, or gets it later from an outbox with the latest frame of each of its topics
socket    `websocket` or `sse` opens and ends the connection; a client that takes nothing for 30 s is dropped
page      `static/assets/wire/` reads the frame, and the panel redraws
"""
