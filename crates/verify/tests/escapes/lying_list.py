# expect: wrong_answer
class Liar(list):
    def __iter__(self):
        return iter([9])

    def __len__(self):
        return 1

def f(n):
    return Liar()
