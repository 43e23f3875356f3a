"""A chat of Flask, whose workers are free while clients listen.

gunicorn --chdir examples flask_app:app, or flask --app examples/flask_app.py run; then open it in a
browser. With several workers see prefork.py.
"""

from flask import Flask, abort, request
from flask.typing import ResponseReturnValue

from fanfare import PerProcess
from fanfare.wsgi import event_stream

PAGE = """<!doctype html>
<title>chat</title>
<form id=form><input id=text autofocus></form>
<ul id=list></ul>
<script>
new EventSource('rooms/lobby/events').onmessage = (event) => {
  const item = document.createElement('li')
  item.textContent = JSON.parse(event.data).text
  list.prepend(item)
}
form.onsubmit = (event) => {
  event.preventDefault()
  fetch('rooms/lobby', { method: 'POST', body: new URLSearchParams({ text: text.value }) })
  text.value = ''
}
</script>
"""
ROOMS = {"lobby", "kitchen"}

app = Flask(__name__)
hub = PerProcess()


@app.get("/")
def page() -> ResponseReturnValue:
    return PAGE


@app.get("/rooms/<room>/events")
def events(room: str) -> ResponseReturnValue:
    if room not in ROOMS:  # a client gets what the handler has checked
        abort(404)
    return event_stream(request, hub, f"room/{room}", start=10)


@app.post("/rooms/<room>")
def say(room: str) -> ResponseReturnValue:
    if room not in ROOMS:
        abort(404)
    hub.get().publish(f"room/{room}", json={"text": request.form["text"]})
    return "", 204
