package live

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand"
	"slices"
	"strconv"
	"strings"
)

// This file generates random scripts and their expected output: a tree of statements
// that can be written as a script, and executed here according to the rules of the
// language. Every expression has a known type, so no rules for mixed types apply.

// value is an integer (I, U: its 64 bits; B: 0 or 1) or a string.
type value struct {
	n uint64
	s string
}

type kind int

const (
	kindI kind = iota // int64
	kindU             // uint64
	kindB             // bool
	kindS             // string
)

type expr struct {
	text string
	eval func(w *world) value
}

// outcome is the way in which a statement leaves its block.
type outcome int

const (
	goesOn outcome = iota
	breaks
	continues
)

type stmt struct {
	text string
	run  func(w *world) outcome
}

// world is the state that a script changes.
type world struct {
	vars  map[string]value
	ints  map[int64]int64    // @m
	words map[string]uint64  // @w
	count map[int64]uint64   // @count
	sum   map[int64]*big.Int // @sum
	most  map[int64][2]int64 // @min, @max
	slot  int64              // @slot
	usum  big.Int            // @usum
	out   strings.Builder
}

type variable struct {
	name string
	kind kind
}

type generator struct {
	r     *rand.Rand
	vars  []variable // in scope
	named int
	loops int // number of enclosing loops
	fns   int
	since bool // use features of newer kernels: walks over maps and loops with callbacks
	heads strings.Builder
	calls []func(a, b int64) int64
}

// randomScript returns a script and its expected output. Small scripts suit
// kernels that have neither callbacks nor loops.
func randomScript(seed int64, small bool) (text, want string) {
	g := &generator{r: rand.New(rand.NewSource(seed)), since: !small}
	for range g.r.Intn(3) {
		g.function()
	}
	var body []stmt
	for k := range kindS + 1 {
		body = append(body, g.declare(k))
	}
	for range 4 + g.r.Intn(12) {
		body = append(body, g.stmt(2))
	}
	var b strings.Builder
	b.WriteString("config = { print_maps_on_exit=0; max_strlen=64 }\n" + g.heads.String() + "begin {\n")
	w := &world{vars: map[string]value{}, ints: map[int64]int64{}, words: map[string]uint64{}, count: map[int64]uint64{}, sum: map[int64]*big.Int{}, most: map[int64][2]int64{}}
	for _, s := range body {
		b.WriteString(s.text + "\n")
		s.run(w)
	}
	for _, v := range g.vars {
		b.WriteString("print(" + v.name + ");\n")
		w.say(shown(v.kind, w.vars[v.name]))
	}
	b.WriteString("}\nend {\n")
	for k := range int64(4) {
		fmt.Fprintf(&b, "printf(\"%%lld %%d\\n\", @m[(int64)%d], has_key(@m, (int64)%d));\n", k, k)
		_, has := w.ints[k]
		w.say(fmt.Sprintf("%d %d", w.ints[k], bit(has)))
		if g.since {
			fmt.Fprintf(&b, "if (has_key(@count, (int64)%d)) { printf(\"%%d %%lld %%lld %%lld\\n\", (uint64)@count[(int64)%d], (int64)@sum[(int64)%d], (int64)@min[(int64)%d], (int64)@max[(int64)%d]); }\n", k, k, k, k, k)
			if w.count[k] > 0 {
				w.say(fmt.Sprintf("%d %d %d %d", w.count[k], clamped(w.sum[k], true), w.most[k][0], w.most[k][1]))
			}
		}
	}
	for _, s := range words {
		fmt.Fprintf(&b, "printf(\"%%llu\\n\", @w[%q]);\n", s)
		w.say(strconv.FormatUint(w.words[s], 10))
	}
	fmt.Fprintf(&b, "printf(\"%%lld\\n\", @slot);\n")
	w.say(strconv.FormatInt(w.slot, 10))
	if g.since {
		fmt.Fprintf(&b, "printf(\"%%llu\\n\", (uint64)@usum);\n")
		w.say(clamped(&w.usum, false).String())
	}
	// This gives each map its type even if nothing else is written to it.
	b.WriteString("if (0) { @m[(int64)0] = (int64)0; @w[\"\"] = (uint64)0; @slot = (int64)0;")
	if g.since {
		b.WriteString(" @count[(int64)0] = count(); @sum[(int64)0] = sum((int64)0); @min[(int64)0] = min((int64)0); @max[(int64)0] = max((int64)0); @usum = sum((uint64)0);")
	}
	b.WriteString(" }\n}\n")
	return b.String(), w.out.String()
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (w *world) say(s string) { w.out.WriteString(s + "\n") }

// shown returns a value in the form in which print() shows it.
func shown(k kind, v value) string {
	switch k {
	case kindI:
		return strconv.FormatInt(int64(v.n), 10)
	case kindU:
		return strconv.FormatUint(v.n, 10)
	case kindB:
		return strconv.FormatBool(v.n != 0)
	}
	return v.s
}

var typeNames = map[kind]string{kindI: "int64", kindU: "uint64", kindB: "bool", kindS: "string[64]"}

// words lists the strings that scripts use. All are too short to be truncated.
var words = []string{"", "a", "ab", "abcdefgh", "abcdefghi", "the quick brown fox"}

// function adds a function of two integers.
func (g *generator) function() {
	inner := &generator{r: g.r, vars: []variable{{"$a", kindI}, {"$b", kindI}}}
	cond, yes, no := inner.expr(kindB, 2), inner.expr(kindI, 2), inner.expr(kindI, 3)
	fmt.Fprintf(&g.heads, "fn f%d($a : int64, $b : int64) : int64 { if (%s) { return %s; } return %s; }\n", g.fns, cond.text, yes.text, no.text)
	g.fns++
	g.calls = append(g.calls, func(a, b int64) int64 {
		w := &world{vars: map[string]value{"$a": {n: uint64(a)}, "$b": {n: uint64(b)}}}
		if cond.eval(w).n != 0 {
			return int64(yes.eval(w).n)
		}
		return int64(no.eval(w).n)
	})
}

// pick returns a variable in scope of the given kind, if there is one.
func (g *generator) pick(k kind) (name string, ok bool) {
	var names []string
	for _, v := range g.vars {
		if v.kind == k {
			names = append(names, v.name)
		}
	}
	if len(names) == 0 {
		return "", false
	}
	return names[g.r.Intn(len(names))], true
}

func (g *generator) literal(k kind) expr {
	switch k {
	case kindI:
		n := int64(interesting(g.r))
		return expr{fmt.Sprintf("(int64)(%d)", n), func(*world) value { return value{n: uint64(n)} }}
	case kindU:
		n := interesting(g.r)
		return expr{fmt.Sprintf("(uint64)%d", n), func(*world) value { return value{n: n} }}
	case kindB:
		n := g.r.Intn(2) == 0
		return expr{strconv.FormatBool(n), func(*world) value { return value{n: bit(n)} }}
	}
	s := words[g.r.Intn(len(words))]
	return expr{strconv.Quote(s), func(*world) value { return value{s: s} }}
}

func interesting(r *rand.Rand) uint64 {
	switch r.Intn(4) {
	case 0:
		return uint64(r.Intn(7))
	case 1:
		return uint64(1)<<r.Intn(64) - uint64(r.Intn(3))
	case 2:
		return -uint64(r.Intn(300))
	}
	return r.Uint64() >> r.Intn(64)
}

// operators lists operators on two integers, with their results for signed and
// unsigned ones.
var operators = []struct {
	op string
	i  func(a, b int64) int64
	u  func(a, b uint64) uint64
}{
	{"+", func(a, b int64) int64 { return a + b }, func(a, b uint64) uint64 { return a + b }},
	{"-", func(a, b int64) int64 { return a - b }, func(a, b uint64) uint64 { return a - b }},
	{"*", func(a, b int64) int64 { return a * b }, func(a, b uint64) uint64 { return a * b }},
	{"&", func(a, b int64) int64 { return a & b }, func(a, b uint64) uint64 { return a & b }},
	{"|", func(a, b int64) int64 { return a | b }, func(a, b uint64) uint64 { return a | b }},
	{"^", func(a, b int64) int64 { return a ^ b }, func(a, b uint64) uint64 { return a ^ b }},
	{"/", func(a, b int64) int64 {
		if b == 0 {
			return 1
		}
		return a / b
	}, func(a, b uint64) uint64 {
		if b == 0 {
			return 1
		}
		return a / b
	}},
	{"%", func(a, b int64) int64 {
		if b == 0 {
			return 1
		}
		return a % b
	}, func(a, b uint64) uint64 {
		if b == 0 {
			return 1
		}
		return a % b
	}},
}

// expr returns an expression of kind k with a nesting of at most depth.
func (g *generator) expr(k kind, depth int) expr {
	if depth <= 0 || g.r.Intn(6) == 0 {
		if name, ok := g.pick(k); ok && g.r.Intn(4) > 0 {
			return expr{name, func(w *world) value { return w.vars[name] }}
		}
		return g.literal(k)
	}
	if g.r.Intn(8) == 0 && k != kindS {
		c, a, b := g.expr(kindB, depth-1), g.expr(k, depth-1), g.expr(k, depth-1)
		return expr{fmt.Sprintf("(%s ? %s : %s)", c.text, a.text, b.text), func(w *world) value {
			if c.eval(w).n != 0 {
				return a.eval(w)
			}
			return b.eval(w)
		}}
	}
	switch k {
	case kindI, kindU:
		return g.integer(k, depth)
	case kindB:
		return g.condition(depth)
	}
	return g.word(depth)
}

func (g *generator) integer(k kind, depth int) expr {
	other := kindI + kindU - k
	switch g.r.Intn(10) {
	case 0: // cast to a narrower type and back
		a := g.expr(k, depth-1)
		bits := 8 << g.r.Intn(3)
		sign := g.r.Intn(2) == 0
		name := fmt.Sprintf("int%d", bits)
		if !sign {
			name = "u" + name
		}
		return expr{fmt.Sprintf("(%s)(%s)(%s)", typeNames[k], name, a.text), func(w *world) value {
			n := a.eval(w).n << (64 - bits)
			if sign {
				return value{n: uint64(int64(n) >> (64 - bits))}
			}
			return value{n: n >> (64 - bits)}
		}}
	case 1:
		a := g.expr(other, depth-1)
		return expr{fmt.Sprintf("(%s)(%s)", typeNames[k], a.text), a.eval}
	case 2:
		a, n := g.expr(k, depth-1), g.r.Intn(64)
		if g.r.Intn(2) == 0 {
			return expr{fmt.Sprintf("(%s << %d)", a.text, n), func(w *world) value { return value{n: a.eval(w).n << n} }}
		}
		return expr{fmt.Sprintf("(%s >> %d)", a.text, n), func(w *world) value {
			x := a.eval(w).n
			if k == kindI {
				return value{n: uint64(int64(x) >> n)}
			}
			return value{n: x >> n}
		}}
	case 3:
		a := g.expr(k, depth-1)
		if g.r.Intn(2) == 0 || k == kindU {
			return expr{fmt.Sprintf("(~(%s))", a.text), func(w *world) value { return value{n: ^a.eval(w).n} }}
		}
		return expr{fmt.Sprintf("(-(%s))", a.text), func(w *world) value { return value{n: -a.eval(w).n} }}
	case 4:
		if k == kindI && len(g.calls) > 0 {
			i := g.r.Intn(len(g.calls))
			a, b := g.expr(kindI, depth-1), g.expr(kindI, depth-1)
			return expr{fmt.Sprintf("f%d(%s, %s)", i, a.text, b.text), func(w *world) value {
				return value{n: uint64(g.calls[i](int64(a.eval(w).n), int64(b.eval(w).n)))}
			}}
		}
	}
	o := operators[g.r.Intn(len(operators))]
	a, b := g.expr(k, depth-1), g.expr(k, depth-1)
	text := fmt.Sprintf("(%s %s %s)", a.text, o.op, b.text)
	if k == kindU {
		return expr{"(uint64)" + text, func(w *world) value { x := a.eval(w).n; return value{n: o.u(x, b.eval(w).n)} }}
	}
	return expr{text, func(w *world) value {
		x := int64(a.eval(w).n)
		return value{n: uint64(o.i(x, int64(b.eval(w).n)))}
	}}
}

func (g *generator) condition(depth int) expr {
	switch g.r.Intn(6) {
	case 0:
		a := g.expr(kindB, depth-1)
		return expr{"(!" + a.text + ")", func(w *world) value { return value{n: 1 - a.eval(w).n} }}
	case 1:
		a, b := g.expr(kindB, depth-1), g.expr(kindB, depth-1)
		if g.r.Intn(2) == 0 {
			return expr{fmt.Sprintf("(%s && %s)", a.text, b.text), func(w *world) value { return value{n: bit(a.eval(w).n != 0 && b.eval(w).n != 0)} }}
		}
		return expr{fmt.Sprintf("(%s || %s)", a.text, b.text), func(w *world) value { return value{n: bit(a.eval(w).n != 0 || b.eval(w).n != 0)} }}
	case 2:
		a, b := g.expr(kindS, depth-1), g.expr(kindS, depth-1)
		if g.r.Intn(2) == 0 {
			return expr{fmt.Sprintf("(%s == %s)", a.text, b.text), func(w *world) value { return value{n: bit(a.eval(w).s == b.eval(w).s)} }}
		}
		return expr{fmt.Sprintf("(%s != %s)", a.text, b.text), func(w *world) value { return value{n: bit(a.eval(w).s != b.eval(w).s)} }}
	}
	k := kind(g.r.Intn(2))
	a, b := g.expr(k, depth-1), g.expr(k, depth-1)
	op := []string{"<", "<=", ">", ">=", "==", "!="}[g.r.Intn(6)]
	return expr{fmt.Sprintf("(%s %s %s)", a.text, op, b.text), func(w *world) value {
		x, y := a.eval(w).n, b.eval(w).n
		if k == kindI { // so that they compare as signed integers
			x, y = x^1<<63, y^1<<63
		}
		switch op {
		case "<":
			return value{n: bit(x < y)}
		case "<=":
			return value{n: bit(x <= y)}
		case ">":
			return value{n: bit(x > y)}
		case ">=":
			return value{n: bit(x >= y)}
		case "==":
			return value{n: bit(x == y)}
		}
		return value{n: bit(x != y)}
	}}
}

func (g *generator) word(depth int) expr {
	c, a, b := g.expr(kindB, depth-1), g.literal(kindS), g.literal(kindS)
	return expr{fmt.Sprintf("(%s ? %s : %s)", c.text, a.text, b.text), func(w *world) value {
		if c.eval(w).n != 0 {
			return a.eval(w)
		}
		return b.eval(w)
	}}
}

// key returns a key from 0 to 3 for the maps with integer keys.
func (g *generator) key() expr {
	a := g.expr(kindI, 2)
	return expr{fmt.Sprintf("(int64)(%s & (int64)3)", a.text), func(w *world) value { return value{n: a.eval(w).n & 3} }}
}

// declare declares a variable.
func (g *generator) declare(k kind) stmt {
	name := fmt.Sprintf("$v%d", g.named)
	g.named++
	e := g.expr(k, 3)
	g.vars = append(g.vars, variable{name, k})
	return stmt{fmt.Sprintf("let %s : %s = %s;", name, typeNames[k], e.text), func(w *world) outcome {
		w.vars[name] = e.eval(w)
		return goesOn
	}}
}

// block returns some statements in a new scope.
func (g *generator) block(depth int) stmt {
	mark := len(g.vars)
	var list []stmt
	var b strings.Builder
	for range 1 + g.r.Intn(4) {
		s := g.stmt(depth - 1)
		list = append(list, s)
		b.WriteString(s.text + " ")
	}
	g.vars = g.vars[:mark]
	return stmt{"{ " + b.String() + "}", func(w *world) outcome {
		for _, s := range list {
			if o := s.run(w); o != goesOn {
				return o
			}
		}
		return goesOn
	}}
}

func (g *generator) stmt(depth int) stmt {
	kinds := 9
	if depth > 0 {
		kinds = 14
	}
	switch g.r.Intn(kinds) {
	case 0:
		return g.declare(kind(g.r.Intn(4)))
	case 1, 2:
		return g.assign()
	case 3:
		return g.step()
	case 4, 5:
		return g.store()
	case 6:
		return g.aggregate()
	case 7:
		return g.show()
	case 8:
		if g.loops == 0 {
			return g.assign()
		}
		c := g.expr(kindB, 2)
		o, word := breaks, "break"
		if g.r.Intn(2) == 0 {
			o, word = continues, "continue"
		}
		return stmt{fmt.Sprintf("if (%s) { %s; }", c.text, word), func(w *world) outcome {
			if c.eval(w).n != 0 {
				return o
			}
			return goesOn
		}}
	case 9, 10:
		c, yes, no := g.expr(kindB, 3), g.block(depth), g.block(depth)
		return stmt{fmt.Sprintf("if (%s) %s else %s", c.text, yes.text, no.text), func(w *world) outcome {
			if c.eval(w).n != 0 {
				return yes.run(w)
			}
			return no.run(w)
		}}
	case 11:
		return g.walk()
	}
	return g.loop(depth)
}

func (g *generator) assign() stmt {
	k := kind(g.r.Intn(4))
	name, ok := g.pick(k)
	if !ok {
		return g.declare(k)
	}
	if k == kindI && g.r.Intn(2) == 0 {
		o := operators[g.r.Intn(len(operators))]
		e := g.expr(k, 2)
		return stmt{fmt.Sprintf("%s %s= %s;", name, o.op, e.text), func(w *world) outcome {
			w.vars[name] = value{n: uint64(o.i(int64(w.vars[name].n), int64(e.eval(w).n)))}
			return goesOn
		}}
	}
	e := g.expr(k, 4)
	return stmt{fmt.Sprintf("%s = %s;", name, e.text), func(w *world) outcome {
		w.vars[name] = e.eval(w)
		return goesOn
	}}
}

// step changes a variable or a map by one and uses the result.
func (g *generator) step() stmt {
	to, ok := g.pick(kindI)
	if !ok {
		return g.declare(kindI)
	}
	from, _ := g.pick(kindI)
	form := g.r.Intn(4)
	text := []string{"%s++", "++%s", "%s--", "--%s"}[form]
	by := []uint64{1, 1, ^uint64(0), ^uint64(0)}[form]
	var place string
	var read func(w *world) int64
	var write func(w *world, n int64)
	key := g.key()
	switch g.r.Intn(3) {
	case 0:
		place = from
		read = func(w *world) int64 { return int64(w.vars[from].n) }
		write = func(w *world, n int64) { w.vars[from] = value{n: uint64(n)} }
	case 1:
		place = "@slot"
		read = func(w *world) int64 { return w.slot }
		write = func(w *world, n int64) { w.slot = n }
	case 2:
		place = "@m[" + key.text + "]"
		at := int64(0)
		read = func(w *world) int64 { at = int64(key.eval(w).n); return w.ints[at] }
		write = func(w *world, n int64) { w.ints[at] = n }
	}
	return stmt{fmt.Sprintf("%s = "+text+";", to, place), func(w *world) outcome {
		old := read(w)
		now := old + int64(by)
		write(w, now)
		if form%2 == 0 {
			w.vars[to] = value{n: uint64(old)}
		} else {
			w.vars[to] = value{n: uint64(now)}
		}
		return goesOn
	}}
}

// store changes a map.
func (g *generator) store() stmt {
	key, e := g.key(), g.expr(kindI, 3)
	switch g.r.Intn(6) {
	case 0:
		return stmt{fmt.Sprintf("@slot = %s;", e.text), func(w *world) outcome { w.slot = int64(e.eval(w).n); return goesOn }}
	case 1:
		return stmt{fmt.Sprintf("@slot += %s;", e.text), func(w *world) outcome { w.slot += int64(e.eval(w).n); return goesOn }}
	case 2:
		return stmt{fmt.Sprintf("@m[%s] -= %s;", key.text, e.text), func(w *world) outcome {
			n := int64(e.eval(w).n)
			w.ints[int64(key.eval(w).n)] -= n
			return goesOn
		}}
	case 3:
		s := g.expr(kindS, 1)
		return stmt{fmt.Sprintf("@w[%s] += 3;", s.text), func(w *world) outcome { w.words[s.eval(w).s] += 3; return goesOn }}
	case 4:
		to, ok := g.pick(kindB)
		if !ok {
			return g.declare(kindB)
		}
		return stmt{fmt.Sprintf("%s = delete(@m, %s);", to, key.text), func(w *world) outcome {
			k := int64(key.eval(w).n)
			_, has := w.ints[k]
			delete(w.ints, k)
			w.vars[to] = value{n: bit(has)}
			return goesOn
		}}
	}
	return stmt{fmt.Sprintf("@m[%s] = %s;", key.text, e.text), func(w *world) outcome {
		n := int64(e.eval(w).n)
		w.ints[int64(key.eval(w).n)] = n
		return goesOn
	}}
}

func (g *generator) aggregate() stmt {
	if !g.since {
		return g.store()
	}
	if g.r.Intn(4) == 0 {
		e := g.expr(kindU, 2)
		return stmt{fmt.Sprintf("@usum = sum(%s);", e.text), func(w *world) outcome { w.usum.Add(&w.usum, new(big.Int).SetUint64(e.eval(w).n)); return goesOn }}
	}
	name := fmt.Sprintf("$v%d", g.named)
	g.named++
	key, e := g.key(), g.expr(kindI, 2)
	text := fmt.Sprintf("{ let %[1]s : int64 = %[2]s; let %[1]sk : int64 = %[3]s; @count[%[1]sk] = count(); @sum[%[1]sk] = sum(%[1]s); @min[%[1]sk] = min(%[1]s); @max[%[1]sk] = max(%[1]s); }", name, e.text, key.text)
	return stmt{text, func(w *world) outcome {
		n, k := int64(e.eval(w).n), int64(key.eval(w).n)
		w.count[k]++
		if w.sum[k] == nil {
			w.sum[k] = new(big.Int)
		}
		w.sum[k].Add(w.sum[k], big.NewInt(n))
		if w.count[k] == 1 {
			w.most[k] = [2]int64{n, n}
		}
		w.most[k] = [2]int64{min(w.most[k][0], n), max(w.most[k][1], n)}
		return goesOn
	}}
}

func (g *generator) show() stmt {
	i, u, s, b := g.expr(kindI, 2), g.expr(kindU, 2), g.expr(kindS, 1), g.expr(kindB, 2)
	if g.r.Intn(2) == 0 {
		return stmt{fmt.Sprintf("printf(\"%%lld %%llu %%s %%d\\n\", %s, %s, %s, %s);", i.text, u.text, s.text, b.text), func(w *world) outcome {
			w.say(fmt.Sprintf("%d %d %s %d", int64(i.eval(w).n), u.eval(w).n, s.eval(w).s, b.eval(w).n))
			return goesOn
		}}
	}
	return stmt{fmt.Sprintf("print((%s, (%s, %s), %s));", s.text, b.text, i.text, u.text), func(w *world) outcome {
		w.say(fmt.Sprintf("(%s, (%s, %d), %d)", s.eval(w).s, shown(kindB, b.eval(w)), int64(i.eval(w).n), u.eval(w).n))
		return goesOn
	}}
}

// walk adds the entries of a map.
func (g *generator) walk() stmt {
	to, ok := g.pick(kindI)
	if !ok || !g.since {
		return g.assign()
	}
	return stmt{fmt.Sprintf("for ($kv : @m) { %s += ($kv.0 + (int64)1) * $kv.1; }", to), func(w *world) outcome {
		n := int64(w.vars[to].n)
		for _, k := range slices.Sorted(maps.Keys(w.ints)) {
			n += (k + 1) * w.ints[k]
		}
		w.vars[to] = value{n: uint64(n)}
		return goesOn
	}}
}

func (g *generator) loop(depth int) stmt {
	name := fmt.Sprintf("$v%d", g.named)
	g.named++
	turns := g.r.Intn(7)
	form := g.r.Intn(4)
	if form == 3 { // a break there leaves the enclosing loop
		saved := g.loops
		g.loops = 0
		body := g.block(depth)
		g.loops = saved
		turns++
		return stmt{fmt.Sprintf("unroll (%d) %s", turns, body.text), func(w *world) outcome {
			for range turns {
				body.run(w)
			}
			return goesOn
		}}
	}
	g.vars = append(g.vars, variable{name, kindI})
	mark := len(g.vars)
	if form != 2 { // the variable of a range must not change
		g.vars = g.vars[:mark-1]
	}
	g.loops++
	body := g.block(depth)
	g.loops--
	g.vars = g.vars[:mark-1]
	run := func(w *world) outcome {
		for i := range turns {
			if form == 2 {
				w.vars[name] = value{n: uint64(i + 1)}
			}
			if body.run(w) == breaks {
				break
			}
		}
		return goesOn
	}
	switch form {
	case 0:
		return stmt{fmt.Sprintf("for (%s : 0..%d) %s", name, turns, body.text), run}
	case 1:
		if g.since {
			bound := fmt.Sprintf("$v%d", g.named)
			g.named++
			return stmt{fmt.Sprintf("{ let %s : int64 = @slot * 0 + %d; for (%s : 0..%s) %s }", bound, turns, name, bound, body.text), run}
		}
		return stmt{fmt.Sprintf("for (%s : 0..%d) %s", name, turns, body.text), run}
	}
	// The body may change the variable, so another one counts the iterations.
	count := fmt.Sprintf("$v%d", g.named)
	g.named++
	return stmt{fmt.Sprintf("{ let %[1]s : int64 = 0; while (%[1]s < %[2]d) { %[1]s += 1; let %[3]s : int64 = %[1]s; %[4]s } }", count, turns, name, body.text), run}
}

// clamped returns the value of a sum in an expression: the nearest 64-bit number.
func clamped(sum *big.Int, signed bool) *big.Int {
	low, high := big.NewInt(0), new(big.Int).SetUint64(math.MaxUint64)
	if signed {
		low, high = big.NewInt(math.MinInt64), big.NewInt(math.MaxInt64)
	}
	switch {
	case sum.Cmp(low) < 0:
		return low
	case sum.Cmp(high) > 0:
		return high
	}
	return sum
}
