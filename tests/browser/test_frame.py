"""The frame around every page: navigation, addresses, keys, palette, theme, and what it says of trouble."""

from __future__ import annotations


def test_the_navigation_leads_to_every_page_and_the_address_follows(visit):
    page = visit().open("/")
    page.get_by_role("link", name="Runs", exact=True).first.click()
    page.wait_for_selector("h1:has-text('Runs')")
    assert page.url.endswith("/runs")
    page.go_back()
    page.wait_for_selector("h1:has-text('Teach a model')")
    assert page.title().startswith("Home –")
