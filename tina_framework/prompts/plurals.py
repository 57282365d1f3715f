"""Find the singular of an English noun."""

from __future__ import annotations

__all__ = ["singular", "singulars"]

_IRREGULAR = {
    plural: one
    for line in """
        mice mouse, lice louse, dice die, people person, men man, women woman, children child, geese goose, feet foot, teeth tooth
        oxen ox, cacti cactus, fungi fungus, octopi octopus, hippopotami hippopotamus, wolves wolf, leaves leaf, knives knife
        lives life, wives wife, calves calf, halves half, shelves shelf, elves elf, loaves loaf, thieves thief, scarves scarf
        hooves hoof, sheaves sheaf, lenses lens, gases gas, irises iris, axes axe, avalanches avalanche, moustaches moustache
        mustaches mustache, quiches quiche, quizzes quiz, shoes shoe, horseshoes horseshoe, snowshoes snowshoe, toes toe
        canoes canoe, hoes hoe, oboes oboe, does doe, skis ski, taxis taxi, kiwis kiwi, bikinis bikini, menus menu, emus emu
        gnus gnu, movies movie, cookies cookie, zombies zombie, hoodies hoodie, brownies brownie, smoothies smoothie
        collies collie, prairies prairie, canvases canvas, atlases atlas, rhinoceroses rhinoceros
    """.strip().splitlines()
    for plural, one in (pair.split() for pair in line.split(","))
}

_ALREADY = frozenset(
    word
    for line in """
        scissors trousers jeans pants shorts binoculars pliers tweezers tongs goggles sunglasses pajamas pyjamas tights leggings
        overalls stairs news lens gas canvas atlas rhinoceros cosmos chaos specimen ramen abdomen omen stamen christmas physics
        mathematics athletics species series
    """.strip().splitlines()
    for word in line.split()
)
"""Words that end like a plural but name a single thing."""


def singular(name: str) -> str:
    """Return the most likely singular of a name, or the name itself if it does not look like a plural."""
    return next(iter(singulars(name)), name)


def singulars(name: str) -> tuple[str, ...]:
    """Return the possible singulars of a name, the most likely first; empty if it does not look like a plural.

    The last word decides: ``pickup trucks`` -> ``pickup truck``.
    """
    before, _, last = name.rpartition(" ")
    forms = [form for form in _forms(last.lower()) if form and form != last.lower()]
    cased = [form[0].upper() + form[1:] if last[:1].isupper() else form for form in dict.fromkeys(forms)]
    return tuple(f"{before} {form}" if before else form for form in cased)


def _forms(word: str) -> list[str]:
    if word in _IRREGULAR:
        return [_IRREGULAR[word]]
    if word in _ALREADY or len(word) < 3 or "'" in word:
        return []
    if word.endswith("men") and len(word) > 4:
        return [word[:-2] + "an"]  # snowmen, firemen
    if not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return []
    plain, short = word[:-1], word[:-2]
    if word.endswith("ies"):
        return [plain] if len(word) <= 4 else [word[:-3] + "y", plain]
    if word.endswith("ves"):
        return [plain, word[:-3] + "f", word[:-3] + "fe"]
    if word.endswith(("sses", "xes", "ches", "shes", "zzes", "oes")):
        return [short, plain]
    if word.endswith("uses") and not word.endswith(("ouses", "fuses")):
        return [short, plain]  # buses, walruses, but not houses, blouses, fuses
    if word.endswith("es"):
        return [plain, short]
    return [plain]
