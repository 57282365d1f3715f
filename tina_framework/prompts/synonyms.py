"""A small table of everyday synonyms, with British and American names.

Things that a user may want to tell apart are not in one group: hare and rabbit, tortoise and turtle. Plurals and other spellings
(one word or two, hyphens, upper case) need no entry, because `KnownNames` handles them.
"""

from __future__ import annotations

__all__ = ["SYNONYM_GROUPS"]

SYNONYM_GROUPS: tuple[tuple[str, ...], ...] = tuple(
    tuple(name.strip() for name in line.split(","))
    for line in """
        airplane, aeroplane, plane
        helicopter, chopper
        motorcycle, motorbike
        bicycle, bike, push bike
        car, automobile, motor car
        truck, lorry
        pickup truck, pickup
        bus, coach, omnibus
        streetcar, tram, tramcar, trolley car
        train, railway train
        subway, underground, metro
        boat, rowing boat
        rocket, space rocket
        tank, army tank, battle tank
        tractor, farm tractor
        lawn mower, mower, grass cutter
        stroller, pram, pushchair, baby carriage
        shopping cart, shopping trolley
        couch, sofa, settee
        table, dining table
        wardrobe, closet, armoire
        lamp, table lamp
        television, tv, television set, tv set, telly
        refrigerator, fridge
        stove, cooker
        faucet, tap
        trash can, garbage can, dustbin, rubbish bin, waste bin
        can, tin, tin can
        flashlight, torch
        telephone, phone, mobile phone, cell phone, smartphone
        keyboard, computer keyboard
        laptop, notebook computer, laptop computer
        watch, wristwatch
        cup, teacup, coffee cup
        plate, dinner plate
        frying pan, skillet
        eraser, rubber
        pacifier, dummy
        diaper, nappy
        eyeglasses, spectacles
        backpack, rucksack
        umbrella, brolly
        trousers, pants
        sweater, jumper, pullover
        sneaker, running shoe, gym shoe
        t-shirt, tee
        bathing suit, swimsuit
        baby, infant
        boy, lad
        girl, lass
        man, gentleman
        woman, lady
        child, kid
        person, human
        cattle, cow
        pig, hog
        chicken, hen
        donkey, ass
        rabbit, bunny
        chimpanzee, chimp
        rhinoceros, rhino
        hippopotamus, hippo
        camel, dromedary
        wolf, gray wolf, grey wolf, timber wolf
        raccoon, racoon
        possum, opossum
        ray, stingray
        aquarium fish, ornamental fish
        shrimp, prawn
        bee, honeybee
        cockroach, roach
        snake, serpent
        crocodile, croc
        dinosaur, dino
        worm, earthworm
        sweet pepper, bell pepper, capsicum
        eggplant, aubergine
        zucchini, courgette
        arugula, rocket salad
        cilantro, coriander
        corn, maize, sweetcorn
        french fries, fries
        cookie, biscuit
        candy, sweets
        mushroom, toadstool
        maple tree, maple
        oak tree, oak
        palm tree, palm
        pine tree, pine
        willow tree, willow
        forest, woods, woodland
        mountain, mount
        sea, ocean
        plain, grassland, prairie
        road, street
        highway, motorway, freeway
        sidewalk, pavement
        house, home
        skyscraper, high-rise, tower block
        castle, fortress
        apartment, flat
        store, shop
        movie theater, cinema
        mailbox, letterbox, postbox
        elevator, lift
    """.strip().splitlines()
)
"""Names of the same thing. No name occurs in two groups."""
