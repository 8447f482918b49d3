"""Somebody who has a keyboard and no mouse."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from tests.surface.conftest import House

MOST_STOPS = 250
HELP = """() => {
  window.focused = () => {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at;
  };
  const takes = "a[href], button, input, select, textarea, summary, [tabindex]";
  const walk = (root) => [...root.querySelectorAll("*")].flatMap((each) => [
    ...(each.matches(takes) && each.tabIndex >= 0 && !each.disabled && each.checkVisibility()
      && !(each.type === "radio" && !each.checked) ? [each] : []),
    ...(each.shadowRoot ? walk(each.shadowRoot) : []),
  ]);
  window.stops = () => walk(document);
  window.called = (each) => each && `${each.localName} ${each.ariaLabel ?? each.id} `
    + each.textContent.trim().slice(0, 40);
  window.trace = [];
  window.all = [];
  addEventListener("keyup", ({ key }) => {
    if (key !== "Tab") return;
    const outline = getComputedStyle(focused());
    const seen = outline.outlineStyle !== "none" && parseFloat(outline.outlineWidth) >= 1;
    trace.push([all.indexOf(focused()), seen, called(focused())]);
  });
}"""


class Keys:
    """Somebody who has no mouse."""

    def __init__(self, page: Page, house: House) -> None:
        self.page = page
        self.house = house
        self.press = page.keyboard.press

    async def opens(self, view: str) -> None:
        """Go to a view by its link."""
        link = self.page.get_by_role("link", name=view, exact=True)
        await self.on(link, "Shift+Tab")
        main = self.page.locator("main")
        await expect(main).to_have_attribute("aria-label", view)
        await expect(main.locator("pv-card").first).to_be_visible()

    async def to(self, place: Locator, way: str = "Tab") -> None:
        """Walk until that has the focus; the walk ends, so a trap is found."""
        await expect(place).to_be_visible()
        been = []
        for _ in range(MOST_STOPS):
            there, at = await place.evaluate("(each) => [focused() === each, called(focused())]")
            if there:
                return
            been.append(at)
            await self.press(way)
        raise AssertionError(f"{place} cannot be reached; the way was {been[-60:]}")

    async def walked(self, way: str, count: int) -> list[tuple[int, bool, str]]:
        """Return so many stops: their number in the page, whether the focus is seen, and who."""
        await self.page.evaluate("() => { trace.length = 0; all = stops(); }")
        found: list[tuple[int, bool, str]] = []
        for _ in range(MOST_STOPS):
            missing = count - sum(at >= 0 for at, _, _ in found)
            if not missing:
                break
            for _ in range(missing):
                await self.press(way)
            found = await self.page.evaluate("trace")
        return found

    async def on(self, place: Locator, way: str = "Tab", key: str = "Enter") -> None:
        """Walk there and press it."""
        await self.to(place, way)
        await self.press(key)

    async def types(self, place: Locator, text: str, way: str = "Tab") -> None:
        """Put a text into a field instead of what is there."""
        await self.to(place, way)
        await self.press("ControlOrMeta+a")
        await self.page.keyboard.type(text)

    async def told(self, text: str) -> None:
        """Wait until an answer is read out, by a region that was there before it came."""
        await expect(self.page.locator("pv-answers").get_by_role("status")).to_contain_text(text)

    async def keeps(self, place: Locator) -> None:
        """Still have the focus there."""
        assert await place.evaluate("(each) => window.focused() === each"), "the focus was lost"

    def button(self, name: str, within: str = "main") -> Locator:
        return self.page.locator(within).get_by_role("button", name=name, exact=True)

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")
