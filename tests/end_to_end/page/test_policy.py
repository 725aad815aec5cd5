"""What the page may do, as the browser holds it to the headers that it came with."""

import json

from tests.end_to_end.page.browser import Page

BLOCKED = ("Content Security Policy", "TrustedScript", "TrustedHTML", "Fetch API cannot load")


def test_no_text_becomes_code_or_markup(page: Page) -> None:
    page.noise = BLOCKED
    refused = page.run(
        "const script = document.createElement('script'), failed = [];"
        "try { script.textContent = 'window.ran = true'; document.body.append(script) }"
        " catch (error) { failed.push(error.name) }"
        "try { document.body.innerHTML += '<i>' } catch (error) { failed.push(error.name) }"
        "return [failed, window.ran ?? false]"
    )
    assert refused == [["TypeError", "TypeError"], False]


def test_no_style_stands_in_the_markup(page: Page) -> None:
    page.noise = BLOCKED
    page.run("document.querySelector('h1').setAttribute('style', 'color: red')")
    assert page.style("h1", "color") == page.style("body", "color")


def test_nothing_goes_to_another_server(page: Page) -> None:
    page.noise = BLOCKED
    outcome = page.driver.execute_async_script(
        "const done = arguments[0], blocked = [];"
        "document.addEventListener('securitypolicyviolation', (event) => {"
        "  blocked.push(event.effectiveDirective); if (blocked.length === 2) done(blocked) });"
        "fetch('http://127.0.0.1:9/').catch(() => {});"
        "try { new WebSocket('ws://127.0.0.1:9/') } catch { }"
    )
    assert outcome == ["connect-src", "connect-src"], json.dumps(outcome)
