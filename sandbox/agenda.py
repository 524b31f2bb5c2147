"""stub"""


class Agenda:
    def __init__(self, world, index):
        pass
