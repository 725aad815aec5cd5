"""Twilio's Media Streams: a phone call's audio in, transcripts out.

After https://www.twilio.com/docs/voice/media-streams/websocket-messages. Twilio itself takes no
messages but audio back, and ends a stream that sends others (its error 31924). So who comes with
Twilio's signature is sent nothing, and its transcripts go to those who listen to the call; an
application that passes Twilio's messages on gets them back on its own connection. `dialect` hears a
stream, `calls` knows who listens to which, `entrance` is the upgrade and its signature.
"""
