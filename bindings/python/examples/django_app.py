"""A site of Django in one file, whose visitors see how many times its button was pressed.

python examples/django_app.py runserver, or gunicorn --chdir examples django_app:application; then
open it in a browser.
"""

import itertools
import secrets
import sys
from typing import Any

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_POST

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DEBUG=True,
    FANFARE={"HUB": {"heartbeat_ms": 10_000}},
    INSTALLED_APPS=["fanfare.django"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
)
django.setup()

from fanfare.django import event_stream, publish  # noqa: E402 (it needs nothing, but views do)

PAGE = """<!doctype html>
<title>button</title>
<button id=button>press</button> <output id=output>0</output>
<script>
new EventSource('/events').addEventListener('pressed', (event) => {
  output.value = JSON.parse(event.data).times
})
button.onclick = () => fetch('/press', { method: 'POST' })
</script>
"""
TIMES = itertools.count(1)


def page(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE.encode())


def events(request: HttpRequest) -> HttpResponse:
    return event_stream(request, "button", start="latest")


@require_POST  # type: ignore[untyped-decorator] # (Django has no types)
def press(_request: HttpRequest) -> HttpResponse:
    publish("button", json={"times": next(TIMES)}, name="pressed")
    return HttpResponse(status=204)


urlpatterns: list[Any] = [path("", page), path("events", events), path("press", press)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
