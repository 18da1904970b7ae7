# --- single inheritance
class A:
    def __init__(self, x):
        self.x = x
    def name(self):
        return "A"
class B(A):
    def __init__(self, x, y):
        super().__init__(x)
        self.y = y
    def name(self):
        return "B" + super().name()
def f():
    b = B(1, 2)
    return b.name(), b.x, b.y, isinstance(b, A), issubclass(A, B)
# --- method resolution order
class A:
    def go(self):
        return ["A"]
class B(A):
    def go(self):
        return ["B"] + super().go()
class C(A):
    def go(self):
        return ["C"] + super().go()
class D(B, C):
    def go(self):
        return ["D"] + super().go()
def f():
    return D().go(), [c.__name__ for c in D.__mro__]
# --- properties
class T:
    def __init__(self):
        self._c = 0
    @property
    def f(self):
        return self._c * 9 / 5 + 32
    @f.setter
    def f(self, v):
        self._c = (v - 32) * 5 / 9
    @f.deleter
    def f(self):
        self._c = None
def f():
    t = T()
    t.f = 212
    found = [t._c, t.f]
    del t.f
    return found, t._c
# --- static and class methods
class K:
    n = 0
    def __init__(self):
        type(self).n += 1
    @classmethod
    def made(cls):
        return cls.n
    @staticmethod
    def add(a, b):
        return a + b
def f():
    K(), K()
    return K.made(), K.add(2, 3), K().add("a", "b")
# --- operators of a class
class V:
    def __init__(self, *x):
        self.x = x
    def __add__(self, o):
        return V(*map(sum, zip(self.x, o.x)))
    def __mul__(self, k):
        return V(*(i * k for i in self.x))
    __rmul__ = __mul__
    def __matmul__(self, o):
        return sum(a * b for a, b in zip(self.x, o.x))
    def __eq__(self, o):
        return self.x == o.x
    def __hash__(self):
        return hash(self.x)
    def __getitem__(self, i):
        return self.x[i]
    def __len__(self):
        return len(self.x)
    def __contains__(self, v):
        return v in self.x
    def __bool__(self):
        return any(self.x)
    def __repr__(self):
        return f"V{self.x}"
def f():
    a, b = V(1, 2), V(3, 4)
    return repr(a + b), repr(2 * a), a @ b, a == V(1, 2), len({a, V(1, 2)}), a[-1], list(a), 4 in b, bool(V(0, 0))
# --- comparison by total_ordering
import functools
@functools.total_ordering
class W:
    def __init__(self, n):
        self.n = n
    def __eq__(self, o):
        return self.n == o.n
    def __lt__(self, o):
        return self.n < o.n
def f():
    return [w.n for w in sorted(map(W, [3, 1, 2]))], W(1) >= W(1), max(W(1), W(5)).n
# --- attribute access
class P:
    def __init__(self):
        object.__setattr__(self, "log", [])
    def __getattr__(self, name):
        return name.upper()
    def __setattr__(self, name, value):
        self.log.append((name, value))
    def __delattr__(self, name):
        self.log.append(name)
def f():
    p = P()
    p.a = 1
    del p.b
    return p.c, p.log, getattr(p, "d", None), hasattr(p, "e")
# --- slots
class S:
    __slots__ = ("a", "b")
    def __init__(self):
        self.a = 1
def f():
    s = S()
    try:
        s.c = 1
    except AttributeError:
        return s.a, hasattr(s, "b"), hasattr(s, "__dict__")
# --- metaclass
class Meta(type):
    known = []
    def __new__(m, name, bases, space, **kw):
        cls = super().__new__(m, name, bases, space)
        m.known.append((name, sorted(kw.items())))
        return cls
    def __call__(cls, *a):
        return super().__call__(*a), len(a)
    def __iter__(cls):
        return iter("abc")
class X(metaclass=Meta, tag=1):
    def __init__(self, *a):
        pass
def f():
    return X(1, 2)[1], Meta.known, list(X)
# --- init_subclass and set_name
class Field:
    def __set_name__(self, owner, name):
        self.name = name
    def __get__(self, obj, owner=None):
        return self if obj is None else obj.__dict__.get(self.name, "unset")
    def __set__(self, obj, v):
        obj.__dict__[self.name] = v * 2
class Base:
    kinds = {}
    def __init_subclass__(cls, kind=None, **kw):
        super().__init_subclass__(**kw)
        Base.kinds[kind] = cls.__name__
class Sub(Base, kind="s"):
    a = Field()
def f():
    s = Sub()
    before = s.a
    s.a = 4
    return before, s.a, Base.kinds, Sub.a.name
# --- abstract classes
from abc import ABC, abstractmethod
class Shape(ABC):
    @abstractmethod
    def area(self): ...
    @property
    @abstractmethod
    def name(self): ...
class Sq(Shape):
    name = "sq"
    def area(self):
        return 4
def f():
    try:
        Shape()
    except TypeError as e:
        return Sq().area(), Sq().name, "abstract" in str(e)
# --- generators
def count(n):
    while n:
        got = yield n
        n = got if got is not None else n - 1
def f():
    g = count(5)
    return next(g), next(g), g.send(2), list(g), sum(x * x for x in range(5))
# --- generators that delegate
def inner():
    got = yield 1
    return got
def outer():
    result = yield from inner()
    yield from [result, "x"]
    return "end"
def f():
    g = outer()
    found = [next(g), g.send("sent"), next(g)]
    try:
        next(g)
    except StopIteration as e:
        return found + [e.value]
# --- generator throw and close
def g(log):
    try:
        yield 1
    except ValueError:
        log.append("caught")
        yield 2
    finally:
        log.append("closed")
def f():
    log = []
    it = g(log)
    found = [next(it), it.throw(ValueError)]
    it.close()
    return found, log
# --- iterator protocol
class Countdown:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        return self
    def __next__(self):
        if self.n == 0:
            raise StopIteration
        self.n -= 1
        return self.n
def f():
    a, *rest = Countdown(4)
    return a, rest, list(iter(iter([1, 2, 0, 3]).__next__, 0))
# --- closures and nonlocal
def counter():
    n = 0
    def up(by=1):
        nonlocal n
        n += by
        return n
    return up
def f():
    a, b = counter(), counter()
    a(), a(5)
    late = [lambda: i for i in range(3)]
    bound = [lambda i=i: i for i in range(3)]
    return a(), b(), [g() for g in late], [g() for g in bound], a.__closure__[0].cell_contents
# --- decorators with arguments
import functools
def times(n):
    def wrap(g):
        @functools.wraps(g)
        def inner(*a, **k):
            return [g(*a, **k) for _ in range(n)]
        return inner
    return wrap
@times(2)
@times(3)
def hello(x, y=1):
    "doc"
    return x + y
def f():
    return hello(1, y=2), hello.__name__, hello.__doc__
# --- class decorators
def add(cls):
    cls.extra = lambda self: self.n + 1
    return cls
@add
class N:
    n = 4
def f():
    return N().extra()
# --- star arguments
def g(a, b=2, *c, d, e=5, **h):
    return a, b, c, d, e, sorted(h.items())
def f():
    x, *y, z = range(5)
    return g(1, d=4), g(*[1, 2, 3], **{"d": 0, "q": 1}), [*range(2), *"ab"], {**{"a": 1}, "b": 2}, y
# --- positional-only arguments
def g(a, /, b, *, c):
    return a, b, c
def f():
    try:
        g(a=1, b=2, c=3)
    except TypeError:
        return g(1, 2, c=3), g(1, b=2, c=3)
# --- walrus
def f():
    data = [1, 5, 2]
    if (n := len(data)) > 2 and any((hit := x) > 3 for x in data):
        return n, hit, [y := 1, y + 1]
# --- comprehensions
def f():
    m = [[1, 2], [3, 4]]
    return ([x for r in m for x in r if x % 2], {k: v for k, v in zip("ab", m)}, {len(w) for w in ["a", "bb", "c"]},
            [[r[i] for r in m] for i in range(2)], [(x, y) for x in range(3) for y in range(x)])
# --- exceptions and finally
def g(x, log):
    try:
        return 10 // x
    except ZeroDivisionError as e:
        log.append(str(e))
        return -1
    else:
        log.append("else")
    finally:
        log.append("finally")
def f():
    log = []
    return g(0, log), g(3, log), log
# --- exceptions of one's own
class E(ValueError):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code
def f():
    try:
        try:
            raise E(7)
        except E as e:
            raise KeyError("k") from e
    except LookupError as e:
        return repr(e), str(e.__cause__), e.__cause__.code, e.__suppress_context__
# --- exception context
def f():
    try:
        try:
            1 / 0
        except ZeroDivisionError:
            int("x")
    except ValueError as e:
        return type(e.__context__).__name__, str(e)
# --- exception groups [3.11]
def f():
    found = []
    try:
        raise ExceptionGroup("g", [ValueError(1), TypeError(2), KeyError(3)])
    except* ValueError as g:
        found.append([repr(e) for e in g.exceptions])
    except* (TypeError, KeyError) as g:
        found.append([repr(e) for e in g.exceptions])
    return found
# --- assertions and loops with else
def f():
    log = []
    for i in range(3):
        if i == 5:
            break
    else:
        log.append("no break")
    try:
        assert log == [], "not empty"
    except AssertionError as e:
        log.append(str(e))
    while True:
        break
    else:
        log.append("never")
    return log
# --- context managers
import contextlib
class M:
    def __init__(self, log):
        self.log = log
    def __enter__(self):
        self.log.append("in")
        return self
    def __exit__(self, t, v, tb):
        self.log.append(t.__name__ if t else None)
        return True
@contextlib.contextmanager
def c(log):
    log.append("a")
    try:
        yield 1
    finally:
        log.append("b")
def f():
    log = []
    with M(log) as m, c(log) as n:
        log.append(n)
        raise KeyError
    with contextlib.suppress(ZeroDivisionError):
        1 / 0
    with contextlib.ExitStack() as s:
        s.callback(log.append, "stack")
    return log
# --- f-strings
def f():
    x, w, s = 3.14159, 10, "hé"
    return f"{x:.2f}|{x!r:>{w}}|{s:*^6}|{1000000:,}|{255:#x}|{5:08b}|{0.25:.1%}|{x=:.1f}|{{}}|{s!a}|{-7:+d}"
# --- string formatting
def f():
    return "%5.2f|%-5s|%05d|%x|%%" % (1.5, "ab", 42, 255), "{:>5}{0!r}".replace("0", "").format("a", "b"), "{a[0]}{b.real}".format(a=[1], b=2), "{:e}".format(12345.678)
# --- string methods
def f():
    s = "  Hello, World  "
    return (s.strip().swapcase(), s.split(","), "a-b-c".rsplit("-", 1), "abc".center(7, "."), "x=1".partition("="),
            "ß".upper(), "ǅ".lower(), "a\tb".expandtabs(4), "abc".translate(str.maketrans("ab", "xy", "c")), "42".zfill(5),
            "aXbX".count("X"), "abcabc".rfind("b"), "1,2;3".replace(",", ";").split(";"), "Abc".isalpha(), "²".isdigit(), "½".isnumeric())
# --- slices
def f():
    a = list(range(10))
    a[2:5] = ["x"]
    a[::3] = [0] * len(a[::3])
    del a[-2:]
    return a, a[::-1], "hello"[1:-1:2], (1, 2, 3)[-2:], slice(1, None, 2).indices(5)
# --- bytes and bytearrays
def f():
    b = bytearray(b"abc")
    b[0] = 65
    b += b"\xff"
    return bytes(b), b.hex(), int.from_bytes(b"\x01\x02", "big"), (1000).to_bytes(2, "little"), "é".encode(), b"\xc3\xa9".decode(), memoryview(b)[1:3].tolist()
# --- big integers
def f():
    n = 3 ** 200
    return n % (10 ** 9 + 7), n.bit_length(), pow(3, 10 ** 18, 998244353), pow(3, -1, 7), -7 // 2, -7 % 3, divmod(-7, 2), n >> 300, ~5 & 0xFF, hex(n)[-9:]
# --- floats
def f():
    return 0.1 + 0.2, round(2.5), round(-3.5), round(2.675, 2), 1e308 * 10, float("-inf"), (0.5).as_integer_ratio(), (7.0).is_integer(), float.fromhex("0x1.8p1"), 1 / 3, -0.0, 7.5 // 2, -7.5 % 2
# --- complex numbers
import cmath
def f():
    z = complex(3, 4)
    return abs(z), z * z, z.conjugate(), cmath.sqrt(-1), z ** 0.5
# --- sorting
def f():
    words = ["b", "A", "c", "aa", "C"]
    return sorted(words, key=str.lower), sorted(words, key=lambda w: (-len(w), w)), sorted([3, 1, 2], reverse=True), sorted([(1, "b"), (1, "a"), (0, "z")])
# --- cmp_to_key
from functools import cmp_to_key
def f():
    return "".join(sorted(["3", "30", "34", "5", "9"], key=cmp_to_key(lambda a, b: 1 if a + b < b + a else -1)))
# --- dictionaries
def f():
    d = dict(a=1, b=2)
    d.setdefault("c", []).append(3)
    d |= {"z": 0} if hasattr(dict, "__or__") else {"z": 0}
    e = dict.fromkeys("xy", 0)
    return d, d.pop("a"), d.popitem(), list(reversed(d)), d.get("q", 9), e, d.keys() & {"b", "c"} == {"b", "c"}, dict(zip("ab", [1, 2])) == {"b": 2, "a": 1}
# --- sets
def f():
    a, b = {1, 2, 3}, {2, 3, 4}
    return sorted(a | b), sorted(a & b), sorted(a ^ b), sorted(a - b), a <= {1, 2, 3, 4}, a.isdisjoint({9}), frozenset([1]) in {frozenset([1])}, list({"a", "b", "c", "dd"})
# --- any, all, zip, enumerate, map, filter
def f():
    return any([]), all([]), list(zip("abc", [1, 2])), list(enumerate("ab", 1)), list(map(pow, [2, 3], [3, 2])), list(filter(None, [0, 1, "", "a"])), sum([[1], [2]], []), max("abc", key=ord), min([3, 1], default=0), list(reversed([1, 2]))
# --- deque
from collections import deque
def f():
    d = deque([1, 2, 3], maxlen=3)
    d.append(4)
    d.appendleft(0)
    d.rotate(1)
    return list(d), d.maxlen, d.index(0), d.popleft(), d.pop()
# --- Counter
from collections import Counter
def f():
    c = Counter("mississippi")
    c.subtract("miss")
    return c.most_common(2), c["z"], sorted((c + Counter("p")).items()), sorted((c & Counter("ip")).items()), sorted(Counter(a=2).elements())
# --- defaultdict, OrderedDict, ChainMap
from collections import ChainMap, OrderedDict, defaultdict
def f():
    tree = lambda: defaultdict(tree)
    t = tree()
    t["a"]["b"] = 1
    o = OrderedDict(a=1, b=2)
    o.move_to_end("a")
    return list(t["a"].items()), list(o), ChainMap({"a": 1}, {"a": 2, "b": 3})["b"], OrderedDict(a=1, b=2) == OrderedDict(b=2, a=1)
# --- namedtuple
from collections import namedtuple
P = namedtuple("P", "x y", defaults=[0])
def f():
    p = P(1)
    return p, p._replace(y=5), p._asdict(), P._fields, p == (1, 0), [*p]
# --- heapq
import heapq
def f():
    h = [5, 1, 4]
    heapq.heapify(h)
    heapq.heappush(h, 0)
    return [heapq.heappop(h) for _ in range(2)], heapq.nlargest(2, [1, 9, 3]), heapq.nsmallest(1, "cab"), heapq.heapreplace(h, 9), list(heapq.merge([1, 4], [2, 3])), heapq.heappushpop(h, 1)
# --- bisect
import bisect
def f():
    a = [1, 3, 3, 5]
    bisect.insort(a, 4)
    return bisect.bisect_left(a, 3), bisect.bisect(a, 3), a, bisect.bisect_right(a, 9)
# --- itertools
from itertools import accumulate, chain, combinations, combinations_with_replacement, compress, count, cycle, dropwhile, groupby, islice, permutations, product, repeat, starmap, takewhile, tee, zip_longest
def f():
    a, b = tee([1, 2])
    return (list(accumulate([1, 2, 3], lambda x, y: x * y)), list(chain("ab", [1])), list(combinations("abc", 2)), list(combinations_with_replacement("ab", 2)),
            list(compress("abc", [1, 0, 1])), list(islice(count(3, 2), 3)), list(islice(cycle("ab"), 5)), list(dropwhile(str.isalpha, "ab1c")),
            [(k, len(list(g))) for k, g in groupby("aabbb")], list(permutations([1, 2])), list(product("ab", repeat=2)), list(repeat(0, 2)),
            list(starmap(pow, [(2, 3)])), list(takewhile(lambda x: x < 2, [1, 2, 1])), list(zip_longest("ab", "c", fillvalue="-")), list(a), list(b))
# --- functools
from functools import cached_property, lru_cache, partial, reduce, singledispatch
@lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
@singledispatch
def kind(x):
    return "other"
@kind.register(int)
def _(x):
    return "int"
@kind.register
def _(x: list):
    return "list"
class C:
    n = 0
    @cached_property
    def v(self):
        C.n += 1
        return C.n
def f():
    c = C()
    return fib(90), fib.cache_info().misses, partial(int, base=2)("101"), reduce(lambda a, b: a * b, range(1, 6), 1), kind(1), kind([]), kind("s"), (c.v, c.v)
# --- deep recursion with a cache
import sys
from functools import lru_cache
sys.setrecursionlimit(10 ** 6)
@lru_cache(None)
def down(n):
    return 0 if n == 0 else down(n - 1) + 1
def deep(n):
    return 0 if n == 0 else deep(n - 1) + 1
def f():
    return down(400), deep(5000)
# --- recursion error
def g(n):
    return g(n + 1)
def f():
    try:
        g(0)
    except RecursionError as e:
        return "maximum recursion depth exceeded" in str(e)
# --- dataclasses
import dataclasses
from dataclasses import dataclass, field
@dataclass(order=True, frozen=True)
class P:
    x: int
    y: int = 0
    tags: list = field(default_factory=list, compare=False)
@dataclass
class Q:
    a: int
    b: int = field(init=False)
    def __post_init__(self):
        self.b = self.a * 2
def f():
    p = P(1)
    try:
        p.x = 2
    except dataclasses.FrozenInstanceError:
        return repr(p), p < P(1, 1), dataclasses.replace(p, y=3), dataclasses.asdict(Q(4)), dataclasses.astuple(Q(1)), hash(P(1)) == hash(P(1))
# --- enumerations
import enum
class Color(enum.Enum):
    RED = 1
    GREEN = enum.auto()
    CRIMSON = 1
class F(enum.IntFlag):
    R = 4
    W = 2
class N(enum.IntEnum):
    ONE = 1
def f():
    return Color.RED.name, Color(2).value, Color["RED"] is Color.CRIMSON, [c.name for c in Color], (F.R | F.W).value, F.R in (F.R | F.W), N.ONE + 1, sorted([N.ONE, 0])
# --- typing
from typing import Any, Callable, Dict, Generic, List, NamedTuple, Optional, Protocol, Tuple, TypedDict, TypeVar, Union
T = TypeVar("T")
class Stack(Generic[T]):
    def __init__(self) -> None:
        self.items: List[T] = []
    def push(self, x: T) -> "Stack[T]":
        self.items.append(x)
        return self
class R(NamedTuple):
    a: int
    b: str = "x"
class D(TypedDict):
    k: int
def g(a: Optional[int] = None, *b: Union[int, str], c: Callable[..., Any] = len) -> Dict[str, Tuple[int, ...]]:
    return {"a": (a or 0,) + b}
def f():
    return Stack[int]().push(3).items, R(1), g(1, 2), D(k=1), sorted(g.__annotations__), list[int]([1])
# --- match statements [3.10]
from dataclasses import dataclass
@dataclass
class Pt:
    x: int
    y: int
def g(v):
    match v:
        case 0 | 1:
            return "small"
        case int(n) if n > 100:
            return "large"
        case [a, *rest]:
            return a, rest
        case {"k": k, **more}:
            return k, more
        case Pt(x=0, y=y):
            return "axis", y
        case str() as s:
            return s
        case None:
            return "none"
        case _:
            return "other"
def f():
    return [g(v) for v in (1, 500, [1, 2, 3], {"k": 1, "m": 2}, Pt(0, 4), Pt(1, 1), "s", None, 2.5)]
# --- regular expressions
import re
def f():
    p = re.compile(r"(?P<y>\d{4})-(?P<m>\d\d)")
    m = p.search("on 2024-05 and 2023-11")
    return (m.groupdict(), m.span(), p.findall("2024-05 2023-11"), re.sub(r"(\w+) (\w+)", r"\2 \1", "a b c d"), re.split(r"[,;]\s*", "a, b;c"),
            re.sub("a", lambda m: m.group().upper(), "banana"), bool(re.fullmatch(r"[a-z]+", "abc1")), re.findall(r"(?<=\$)\d+", "$5 $66"), re.escape("a.b"), re.match("(?i)AB", "ab").group(), [m.start() for m in re.finditer("a", "aba")])
# --- math
import math
def f():
    return (math.gcd(12, 18), math.factorial(20), math.isqrt(10 ** 20 + 1), math.comb(10, 3), math.perm(5, 2), math.floor(-1.5), math.ceil(-1.5), math.trunc(-1.5), math.hypot(3, 4),
            math.isclose(0.1 + 0.2, 0.3), math.log2(1024), math.fsum([0.1] * 10), math.prod([1, 2, 3]), math.copysign(1, -0.0), math.modf(2.25), math.frexp(8.0), math.degrees(math.pi), math.dist([0, 0], [3, 4]), math.lcm(4, 6), math.inf > 10 ** 400, math.nan == math.nan)
# --- fractions
from fractions import Fraction
def f():
    x = Fraction(3, 4) + Fraction("0.5")
    return str(x), x.numerator, float(x), Fraction(0.1).limit_denominator(10), sum([Fraction(1, n) for n in range(1, 5)]), x > 1, round(x)
# --- decimal
from decimal import ROUND_HALF_UP, Decimal, getcontext, localcontext
def f():
    with localcontext() as c:
        c.prec = 6
        third = str(Decimal(1) / 3)
    return third, str(Decimal("0.1") + Decimal("0.2")), str(Decimal("2.675").quantize(Decimal("0.01"), ROUND_HALF_UP)), str(Decimal(2).sqrt())[:10], Decimal("1E+3") == 1000, getcontext().prec
# --- statistics
import statistics
def f():
    d = [1, 2, 2, 3, 10]
    return statistics.mean(d), statistics.median(d), statistics.mode(d), round(statistics.pstdev(d), 6), statistics.median_low([1, 2]), statistics.multimode("aabb"), statistics.quantiles(d, n=4)
# --- string module
import string
def f():
    return string.ascii_lowercase, string.digits, string.Template("$a and ${b}").substitute(a=1, b=2), string.capwords("hello world"), len(string.punctuation)
# --- datetime
from datetime import date, datetime, timedelta, timezone
def f():
    d = datetime(2024, 2, 28, 23, 30) + timedelta(hours=25)
    return (d.isoformat(), d.strftime("%Y/%m/%d %H:%M %a"), (date(2024, 3, 1) - date(2024, 2, 1)).days, datetime.strptime("05 Mar 2021", "%d %b %Y").weekday(),
            date(2024, 12, 30).isocalendar()[1], datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp(), str(timedelta(days=-1, seconds=5)), datetime.fromisoformat("2020-01-02T03:04:05").minute)
# --- calendar and time
import calendar, time
def f():
    return calendar.monthrange(2024, 2), calendar.isleap(1900), calendar.month_name[3], time.strftime("%Y-%m-%d", time.gmtime(86400 * 365)), time.localtime(0).tm_hour
# --- json
import json
def f():
    text = json.dumps({"b": [1, 2.5, None, True], "a": "é\n"}, sort_keys=True, indent=1)
    return text, json.loads('{"x": [1, {"y": "\\u00e9"}], "z": 1e3}'), json.dumps("é", ensure_ascii=False), json.dumps([1], separators=(",", ":"))
# --- copy
import copy
class N:
    def __init__(self):
        self.kids = [[1]]
def f():
    n = N()
    a, b = copy.copy(n), copy.deepcopy(n)
    n.kids[0].append(2)
    loop = []
    loop.append(loop)
    return a.kids, b.kids, copy.deepcopy(loop)[0] is not loop
# --- operator
import operator
def f():
    return operator.itemgetter(1, 0)("ab"), operator.attrgetter("real")(5), operator.methodcaller("upper")("a"), operator.mul(3, 4), sorted([(1, 2), (0, 3)], key=operator.itemgetter(1)), operator.index(True), operator.xor(5, 3)
# --- seeded random numbers
import random
def f():
    r = random.Random(42)
    xs = list(range(6))
    r.shuffle(xs)
    random.seed(7)
    return r.random(), r.randint(1, 100), xs, r.choice("abc"), r.sample(range(10), 3), random.random(), random.choices("ab", k=3), r.gauss(0, 1), r.getrandbits(70)
# --- array and struct
import array, struct
def f():
    a = array.array("i", [1, 2])
    a.extend([3])
    return a.tolist(), a.typecode, struct.pack("<IhB", 1, -2, 255), struct.unpack(">H", b"\x01\x00"), struct.calcsize("<Qd")
# --- hashing and encodings
import base64, binascii, hashlib, zlib
def f():
    return hashlib.md5(b"a").hexdigest(), hashlib.sha256(b"").hexdigest()[:8], base64.b64encode(b"hello"), base64.urlsafe_b64decode("_-8="), binascii.crc32(b"x"), zlib.decompress(zlib.compress(b"aaa"))
# --- io and csv
import csv, io
def f():
    out = io.StringIO()
    csv.writer(out).writerows([[1, "a,b"], ["q\"", ""]])
    print("printed", end="|", file=out)
    return out.getvalue(), list(csv.reader(["a,b", "\"x,y\",z"])), io.BytesIO(b"abc").read(2), io.StringIO("a\nb").readlines()
# --- text tools
import difflib, pprint, textwrap, unicodedata
def f():
    return textwrap.wrap("the quick brown fox", 10), textwrap.dedent("  a\n  b"), difflib.get_close_matches("appel", ["ape", "apple"]), unicodedata.name("é"), unicodedata.normalize("NFD", "é") == "e\u0301", pprint.pformat({"b": 1, "a": 2})
# --- queues
import queue
from collections.abc import Iterable, Mapping
def f():
    q = queue.PriorityQueue()
    for n in (3, 1, 2):
        q.put(n)
    s = queue.LifoQueue()
    s.put("a")
    return [q.get() for _ in range(3)], s.get(), s.empty(), isinstance({}, Mapping), isinstance("a", Iterable)
# --- graphlib and ast
import ast, graphlib
def f():
    return list(graphlib.TopologicalSorter({"c": {"b"}, "b": {"a"}}).static_order()), ast.literal_eval("[1, {'a': (2, None)}]"), type(ast.parse("1 + 2", mode="eval").body).__name__
# --- weak references
import gc, weakref
class O:
    pass
def f():
    o = O()
    r = weakref.ref(o)
    d = weakref.WeakValueDictionary(a=o)
    alive = r() is o, len(d)
    del o
    gc.collect()
    return alive, r(), len(d)
# --- inspection
import inspect
def g(a, b: int = 1, *, c=None):
    "Doc."
def f():
    return str(inspect.signature(g)), inspect.isgeneratorfunction(g), g.__defaults__, g.__code__.co_varnames, callable(g), vars(type("T", (), {"x": 1}))["x"], type(g).__name__
# --- coroutines without a loop
class Wait:
    def __await__(self):
        return (yield "wait")
async def work(n):
    got = await Wait()
    return n + got
def f():
    c = work(1)
    first = c.send(None)
    try:
        c.send(41)
    except StopIteration as e:
        return first, e.value
# --- async generators and comprehensions
async def numbers():
    for i in range(3):
        yield i
async def total():
    return [x async for x in numbers()], sum([x * 2 async for x in numbers()])
def f():
    try:
        total().send(None)
    except StopIteration as e:
        return e.value
# --- global statements and del
total = 0
def add(n):
    global total
    total += n
def f():
    add(2), add(3)
    x = [1, 2]
    y = x
    del x
    try:
        x
    except UnboundLocalError:
        return total, y
    except NameError:
        return "wrong"
# --- chained and identity comparisons
def f():
    a = [1]
    return 1 < 2 < 3, 1 < 3 > 2, 3 > 2 == True, a is a, [1] == [1.0], (1, "a") < (1, "b"), not [] is None, 0 or "x", [] and 1, "a" if a else "b", 1 == True
# --- exec, eval and compile
def f():
    space = {}
    exec("def g(x):\n    return x * 2", space)
    return space["g"](4), eval("a + b", {"a": 1}, {"b": 2}), eval(compile("1 + 1", "<s>", "eval"))
# --- int and str conversions
def f():
    return int("-0x1f", 16), int("1_000"), int(" 7 "), bin(-5), oct(8), chr(8364), ord("€"), str(1e16), repr("it's \"x\""), repr("\x00\n\u2028é"), ascii("é"), float("1e-7"), str(1.0), repr(b"'\xff"), bool("False")
# --- tries, linked lists and trees
class Node:
    def __init__(self, val, next=None):
        self.val, self.next = val, next
class Tree:
    def __init__(self, v, l=None, r=None):
        self.v, self.l, self.r = v, l, r
    def __iter__(self):
        if self.l:
            yield from self.l
        yield self.v
        if self.r:
            yield from self.r
def f():
    head = None
    for v in range(4):
        head = Node(v, head)
    out = []
    while head:
        out.append(head.val)
        head = head.next
    trie = {}
    for w in ("to", "tea"):
        t = trie
        for c in w:
            t = t.setdefault(c, {})
    return out, list(Tree(2, Tree(1), Tree(3))), trie
# --- bit tricks and sieve
def f():
    n = 50
    sieve = bytearray([1]) * (n + 1)
    sieve[0:2] = b"\0\0"
    for i in range(2, 8):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(sieve[i * i :: i]))
    return [i for i in range(n + 1) if sieve[i]], bin(0b1011 & -0b1011), 6 ^ 3, (1 << 70) | 1, bin(255).count("1")
# --- dynamic programming
def f():
    def lcs(a, b):
        d = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                d[i + 1][j + 1] = d[i][j] + 1 if x == y else max(d[i][j + 1], d[i + 1][j])
        return d[-1][-1]
    def knap(ws, vs, c):
        best = [0] * (c + 1)
        for w, v in zip(ws, vs):
            for k in range(c, w - 1, -1):
                best[k] = max(best[k], best[k - w] + v)
        return best[c]
    return lcs("AGGTAB", "GXTXAYB"), knap([1, 3, 4, 5], [1, 4, 5, 7], 7)
# --- graphs
import heapq
from collections import defaultdict, deque
def f():
    g = defaultdict(list)
    for a, b, w in [(0, 1, 4), (0, 2, 1), (2, 1, 2), (1, 3, 5)]:
        g[a].append((b, w))
    dist, todo = {}, [(0, 0)]
    while todo:
        d, v = heapq.heappop(todo)
        if v in dist:
            continue
        dist[v] = d
        for u, w in g[v]:
            heapq.heappush(todo, (d + w, u))
    seen, q = {0}, deque([0])
    while q:
        for u, _ in g[q.popleft()]:
            if u not in seen:
                seen.add(u)
                q.append(u)
    return dist, sorted(seen)
# --- backtracking
def f():
    def queens(n, row=0, cols=(), d1=(), d2=()):
        if row == n:
            return 1
        return sum(queens(n, row + 1, cols + (c,), d1 + (row - c,), d2 + (row + c,)) for c in range(n) if c not in cols and row - c not in d1 and row + c not in d2)
    def subsets(xs):
        return [[]] if not xs else [s + t for s in subsets(xs[1:]) for t in ([], [xs[0]])]
    return queens(6), subsets([1, 2, 3])
# --- union find and matrices
class UF:
    def __init__(self, n):
        self.p = list(range(n))
    def find(self, x):
        while self.p[x] != x:
            self.p[x] = self.p[self.p[x]]
            x = self.p[x]
        return x
    def union(self, a, b):
        self.p[self.find(a)] = self.find(b)
def f():
    u = UF(4)
    u.union(0, 1), u.union(2, 3)
    m = [[1, 2], [3, 4]]
    return u.find(0) == u.find(1), u.find(0) == u.find(2), [list(r) for r in zip(*m)], [list(r) for r in zip(*m[::-1])], [[sum(a * b for a, b in zip(r, c)) for c in zip(*m)] for r in m]
# --- hashes of strings
def f():
    return hash("a") == hash("a"), hash(1) == hash(1.0) == hash(True), hash(2 ** 61 - 1), hash((1, 2)), hash(-1), hash(0.5)
# --- type parameters [3.12]
def first[T](xs: list[T]) -> T:
    return xs[0]
class Box[T]:
    def __init__(self, v: T):
        self.v = v
type Pair = tuple[int, int]
def f():
    return first([3, 4]), Box[int](5).v, str(Pair), f"{'nested ' + f"{1 + 1}"}"
