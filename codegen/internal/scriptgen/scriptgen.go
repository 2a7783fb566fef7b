// Package scriptgen makes random scripts over integers and knows what each one
// computes: every expression and statement is made together with a function
// that does the same in Go, by the language's rules and nothing of the
// compiler's. All widths and signs, casts, promotions, shifts, divisions,
// conditions, variables, tuples, maps, and loops in all their forms.
package scriptgen

import (
	"fmt"
	"math/rand"
	"strings"
)

// Script is a script of one program and what it leaves in its maps.
type Script struct {
	Text string
	// Results is what the keyless maps @r0, @r1, … hold in the end.
	Results []int64
}

// typ is the type of an expression.
type typ struct {
	size   int // bytes
	signed bool
	kind   kind
}

type kind uint8

const (
	integer kind = iota
	boolean
	literal // a number as written, not negative: it has no sign of its own
)

func (t typ) String() string {
	if t.signed {
		return fmt.Sprintf("int%d", 8*t.size)
	}
	return fmt.Sprintf("uint%d", 8*t.size)
}

// wrap is n as a value of t, extended to 64 bits.
func (t typ) wrap(n uint64) uint64 {
	s := 64 - 8*t.size
	if t.signed {
		return uint64(int64(n<<s) >> s)
	}
	return n << s >> s
}

var (
	i64 = typ{size: 8, signed: true}
	u64 = typ{size: 8}
	tf  = typ{size: 1, kind: boolean}
)

// loose reports whether t takes the sign of what it is combined with.
func (t typ) loose() bool { return t.kind != integer }

// join is the type that two operands are compared in.
func join(a, b typ) typ {
	switch {
	case a.loose() && b.loose():
		return i64
	case a.loose():
		return typ{size: max(a.size, b.size), signed: b.signed}
	case b.loose():
		return typ{size: max(a.size, b.size), signed: a.signed}
	case a.signed == b.signed:
		return typ{size: max(a.size, b.size), signed: a.signed}
	case a.signed && a.size > b.size:
		return a
	case b.signed && b.size > a.size:
		return b
	}
	return i64 // signed, and large enough for what is not 64 bits wide
}

// state is the memory of a running script.
type state struct {
	vars map[string]uint64 // variables, elements of tuples, maps without keys
	maps map[string]map[string]uint64
	jump jump
}

type jump uint8

const (
	goOn jump = iota
	breaks
	continues
)

type expr struct {
	text string
	t    typ
	eval func(*state) uint64
}

type stmt func(*state)

type gen struct {
	r     *rand.Rand
	b     strings.Builder
	tabs  int
	depth int // of blocks
	loops int // around a statement that may leave one: 0 or 1
	turns int // of all loops around, multiplied
	left  int // statements to go

	vars   []expr // variables
	read   []expr // variables of loops, which are only read
	names  int    // of those so far
	tupled bool   // the tuples have values
}

var types = []typ{{1, true, 0}, {1, false, 0}, {2, true, 0}, {2, false, 0}, {4, true, 0}, {4, false, 0}, {8, true, 0}, {8, false, 0}}

var numbers = []int64{0, 1, 2, 3, 5, 7, 8, 10, 31, 32, 63, 64, 100, 127, 128, 200, 255, 256, 1000, 32767, 32768, 65535, 65536,
	1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1}

const scalars, hashes, tuples = 4, 3, 2

// Program makes a script of about size statements from a seed.
func Program(seed int64, size int) *Script {
	g := &gen{r: rand.New(rand.NewSource(seed)), turns: 1, left: size}
	g.line("begin {")
	g.tabs++
	var body []stmt
	for i := range scalars {
		body = append(body, g.set(fmt.Sprintf("@s%d", i), g.cast(g.number(), g.scalarType(i))))
	}
	for i := range hashes {
		n := g.cast(g.number(), g.scalarType(i))
		g.line("@m%d[%s] = %s;", i, keyText(i, g.cast(g.constant(1), u64)), n.text)
		body = append(body, func(s *state) { s.maps[fmt.Sprintf("@m%d", i)] = map[string]uint64{key(1): n.eval(s)} })
	}
	for i := range 2 + g.r.Intn(5) {
		t := types[g.r.Intn(len(types))]
		x := g.cast(g.leaf(), t)
		name := fmt.Sprintf("$v%d", i)
		g.line("let %s : %s = %s;", name, t, x.text)
		body = append(body, assign(name, x.eval))
		g.vars = append(g.vars, variable(name, t))
	}
	for i := range tuples {
		body = append(body, g.tuple(i))
	}
	g.tupled = true
	body = append(body, g.statements(size)...)
	s := &Script{}
	var results []expr
	results = append(results, append(g.vars, g.fields()...)...)
	for i := range scalars {
		results = append(results, g.scalar(i))
	}
	for i := range hashes {
		for k := range keyRange {
			results = append(results, g.entry(i, g.cast(g.constant(k), u64)))
		}
	}
	for i, x := range results {
		g.line("@r%d = (int64)%s;", i, x.text)
	}
	g.tabs--
	g.line("}")
	s.Text = g.b.String()
	st := &state{vars: map[string]uint64{}, maps: map[string]map[string]uint64{}}
	run(st, body)
	for _, x := range results {
		s.Results = append(s.Results, int64(x.eval(st)))
	}
	return s
}

func run(st *state, list []stmt) {
	for _, s := range list {
		if st.jump != goOn {
			return
		}
		s(st)
	}
}

func (g *gen) line(format string, args ...any) {
	fmt.Fprintf(&g.b, "%s%s\n", strings.Repeat("\t", g.tabs), fmt.Sprintf(format, args...))
}

func variable(name string, t typ) expr {
	return expr{name, t, func(s *state) uint64 { return s.vars[name] }}
}

func assign(name string, value func(*state) uint64) stmt {
	return func(s *state) { s.vars[name] = value(s) }
}

func (g *gen) set(name string, x expr) stmt {
	g.line("%s = %s;", name, x.text)
	return assign(name, x.eval)
}

func (g *gen) scalarType(i int) typ {
	if i%2 == 0 {
		return i64
	}
	return u64
}

func (g *gen) scalar(i int) expr { return variable(fmt.Sprintf("@s%d", i), g.scalarType(i)) }

// keyRange is how many keys a map may have.
const keyRange = 4

var keyTypes = [hashes][]typ{{{1, false, 0}}, {{8, true, 0}}, {{2, true, 0}, {4, false, 0}}}

// entry is @m[k], its key made of k in the types that the map's keys have.
func (g *gen) entry(i int, k expr) expr {
	name := fmt.Sprintf("@m%d", i)
	return expr{fmt.Sprintf("%s[%s]", name, keyText(i, k)), g.scalarType(i), func(s *state) uint64 { return s.maps[name][key(k.eval(s))] }}
}

func keyText(i int, k expr) string {
	var parts []string
	for _, t := range keyTypes[i] {
		parts = append(parts, fmt.Sprintf("(%s)%s", t, k.text))
	}
	return strings.Join(parts, ", ")
}

func key(n uint64) string { return fmt.Sprint(n) }

func (g *gen) anyKey(depth int) expr {
	x := g.typed(depth)
	return expr{fmt.Sprintf("((uint64)%s & %d)", x.text, keyRange-1), u64, func(s *state) uint64 { return x.eval(s) & (keyRange - 1) }}
}

// fieldTypes are the types of the tuples' elements.
var fieldTypes = [tuples][]typ{{{1, false, 0}, {8, true, 0}, {2, true, 0}}, {{4, true, 0}, {1, true, 0}}}

func (g *gen) tuple(i int) stmt {
	var texts []string
	var values []expr
	for _, t := range fieldTypes[i] {
		x := g.cast(g.expr(2), t)
		texts, values = append(texts, x.text), append(values, x)
	}
	g.line("$t%d = (%s);", i, strings.Join(texts, ", "))
	return func(s *state) {
		now := make([]uint64, len(values))
		for k, x := range values {
			now[k] = x.eval(s)
		}
		for k, n := range now {
			s.vars[fmt.Sprintf("$t%d.%d", i, k)] = n
		}
	}
}

func (g *gen) fields() []expr {
	var list []expr
	for i, f := range fieldTypes {
		for k, t := range f {
			list = append(list, variable(fmt.Sprintf("$t%d.%d", i, k), t))
		}
	}
	return list
}

func (g *gen) constant(n int) expr {
	return expr{fmt.Sprint(n), typ{size: width(int64(n)), signed: true, kind: literal}, func(*state) uint64 { return uint64(n) }}
}

// width is the size of the smallest signed type that holds n ≥ 0.
func width(n int64) int {
	for _, size := range []int{1, 2, 4} {
		if n < 1<<(8*size-1) {
			return size
		}
	}
	return 8
}

// number is a literal as it is written.
func (g *gen) number() expr {
	n := numbers[g.r.Intn(len(numbers))]
	if g.r.Intn(3) == 0 {
		n = int64(g.r.Uint64()>>1) >> g.r.Intn(63)
	}
	return expr{fmt.Sprint(n), typ{size: width(n), signed: true, kind: literal}, func(*state) uint64 { return uint64(n) }}
}

// cast is x as a value of t.
func (g *gen) cast(x expr, t typ) expr {
	return expr{fmt.Sprintf("(%s)%s", t, x.text), t, func(s *state) uint64 { return t.wrap(x.eval(s)) }}
}

// leaf is a value with a type, known when compiling or not.
func (g *gen) leaf() expr {
	switch n := g.r.Intn(10); {
	case n < 3 && len(g.vars) > 0:
		return g.vars[g.r.Intn(len(g.vars))]
	case n < 4 && len(g.read) > 0:
		return g.read[g.r.Intn(len(g.read))]
	case n < 6:
		return g.scalar(g.r.Intn(scalars))
	case n < 7 && g.tupled:
		f := g.fields()
		return f[g.r.Intn(len(f))]
	}
	t := types[g.r.Intn(len(types))]
	if g.r.Intn(2) == 0 {
		x := g.number()
		return g.cast(expr{"-" + x.text, i64, func(s *state) uint64 { return -x.eval(s) }}, t)
	}
	return g.cast(g.number(), t)
}

// typed is an expression that is no truth value.
func (g *gen) typed(depth int) expr {
	x := g.expr(depth)
	if x.t.kind == boolean {
		return g.cast(x, types[g.r.Intn(len(types))])
	}
	return x
}

var arithmetic = []string{"+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "+", "-", "&"}
var comparisons = []string{"==", "!=", "<", "<=", ">", ">="}

func (g *gen) expr(depth int) expr {
	if depth == 0 {
		return g.leaf()
	}
	switch n := g.r.Intn(20); {
	case n < 8:
		x, y := g.expr(depth-1), g.operand(depth-1)
		if x.t.loose() && y.t.loose() { // were both known, no overflow would be allowed
			x = g.cast(x, types[g.r.Intn(len(types))])
		}
		return arith(arithmetic[g.r.Intn(len(arithmetic))], x, y)
	case n < 11:
		return compare(comparisons[g.r.Intn(len(comparisons))], g.expr(depth-1), g.operand(depth-1))
	case n < 12:
		x, y := g.expr(depth-1), g.expr(depth-1)
		if g.r.Intn(2) == 0 {
			return expr{fmt.Sprintf("(%s && %s)", x.text, y.text), tf, func(s *state) uint64 { return truth(x.eval(s) != 0 && y.eval(s) != 0) }}
		}
		return expr{fmt.Sprintf("(%s || %s)", x.text, y.text), tf, func(s *state) uint64 { return truth(x.eval(s) != 0 || y.eval(s) != 0) }}
	case n < 13:
		x := g.expr(depth - 1)
		return expr{fmt.Sprintf("(!%s)", x.text), tf, func(s *state) uint64 { return truth(x.eval(s) == 0) }}
	case n < 15:
		return g.unary(g.typed(depth - 1))
	case n < 17:
		return g.cast(g.expr(depth-1), types[g.r.Intn(len(types))])
	case n < 18:
		t := types[g.r.Intn(len(types))]
		c, x, y := g.expr(depth-1), g.cast(g.expr(depth-1), t), g.cast(g.expr(depth-1), t)
		return expr{fmt.Sprintf("(%s ? %s : %s)", c.text, x.text, y.text), t, func(s *state) uint64 {
			if c.eval(s) != 0 {
				return x.eval(s)
			}
			return y.eval(s)
		}}
	case n < 19:
		return g.entry(g.r.Intn(hashes), g.anyKey(depth-1))
	}
	return g.leaf()
}

// operand is the right side of an operator: a plain number now and then.
func (g *gen) operand(depth int) expr {
	if g.r.Intn(4) == 0 {
		return g.number()
	}
	return g.expr(depth)
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// unary is -x or ~x: 64 bits, within x's own width where that has no sign.
func (g *gen) unary(x expr) expr {
	op, f := "-", func(n uint64) uint64 { return -n }
	if g.r.Intn(2) == 0 {
		op, f = "~", func(n uint64) uint64 { return ^n }
	}
	return expr{fmt.Sprintf("(%s%s)", op, x.text), typ{size: 8, signed: x.t.signed}, func(s *state) uint64 {
		n := f(x.eval(s))
		if !x.t.signed {
			n = x.t.wrap(n)
		}
		return n
	}}
}

// arith is x op y: in 64 bits, with a sign if one of them has one, or if it is
// a difference. Dividing by zero gives 1.
func arith(op string, x, y expr) expr {
	t := typ{size: 8, signed: join(x.t, y.t).signed}
	if op == "-" {
		t = i64
	}
	return expr{fmt.Sprintf("(%s %s %s)", x.text, op, y.text), t, func(s *state) uint64 { return compute(op, x.eval(s), y.eval(s), t.signed) }}
}

func compute(op string, a, b uint64, signed bool) uint64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "&":
		return a & b
	case "|":
		return a | b
	case "^":
		return a ^ b
	case "<<":
		return a << (b & 63)
	case ">>":
		if signed {
			return uint64(int64(a) >> (b & 63))
		}
		return a >> (b & 63)
	}
	switch {
	case b == 0:
		return 1
	case op == "/" && signed && int64(b) == -1:
		return -a
	case op == "/" && signed:
		return uint64(int64(a) / int64(b))
	case op == "/":
		return a / b
	case signed && int64(b) == -1:
		return 0
	case signed:
		return uint64(int64(a) % int64(b))
	}
	return a % b
}

func compare(op string, x, y expr) expr {
	t := join(x.t, y.t)
	return expr{fmt.Sprintf("(%s %s %s)", x.text, op, y.text), tf, func(s *state) uint64 {
		a, b := t.wrap(x.eval(s)), t.wrap(y.eval(s))
		less := a < b
		if t.signed {
			less = int64(a) < int64(b)
		}
		switch op {
		case "==":
			return truth(a == b)
		case "!=":
			return truth(a != b)
		case "<":
			return truth(less)
		case "<=":
			return truth(less || a == b)
		case ">":
			return truth(!less && a != b)
		}
		return truth(!less)
	}}
}

func (g *gen) statements(n int) []stmt {
	var list []stmt
	for i := 0; i < n && g.left > 0; i++ {
		g.left--
		list = append(list, g.statement())
	}
	return list
}

func (g *gen) block(n int) []stmt {
	g.tabs++
	g.depth++
	list := g.statements(n)
	g.depth--
	g.tabs--
	return list
}

func (g *gen) statement() stmt {
	switch n := g.r.Intn(100); {
	case n < 30:
		v := g.vars[g.r.Intn(len(g.vars))]
		return g.set(v.text, g.cast(g.expr(3), v.t))
	case n < 36:
		v := g.vars[g.r.Intn(len(g.vars))]
		return g.step(v.text, v.t)
	case n < 44:
		i := g.r.Intn(scalars)
		v := g.scalar(i)
		switch g.r.Intn(4) {
		case 0:
			return g.step(v.text, v.t)
		case 1:
			x := g.cast(g.expr(2), v.t)
			g.line("%s += %s;", v.text, x.text)
			return func(s *state) { s.vars[v.text] += x.eval(s) }
		}
		return g.set(v.text, g.cast(g.expr(3), v.t))
	case n < 56:
		return g.update(g.r.Intn(hashes))
	case n < 62:
		return g.tuple(g.r.Intn(tuples))
	case n < 80 && g.depth < 4:
		c := g.expr(3)
		g.line("if (%s) {", c.text)
		then := g.block(1 + g.r.Intn(3))
		var els []stmt
		if g.r.Intn(2) == 0 {
			g.line("} else {")
			els = g.block(1 + g.r.Intn(3))
		}
		g.line("}")
		return func(s *state) {
			if c.eval(s) != 0 {
				run(s, then)
			} else {
				run(s, els)
			}
		}
	case n < 90 && g.depth < 3 && g.turns < 50:
		return g.loop()
	case n < 94 && g.loops > 0:
		return g.jump()
	}
	v := g.vars[g.r.Intn(len(g.vars))]
	return g.set(v.text, g.cast(g.expr(4), v.t))
}

// step is ++ or --.
func (g *gen) step(name string, t typ) stmt {
	if g.r.Intn(2) == 0 {
		g.line("%s++;", name)
		return func(s *state) { s.vars[name] = t.wrap(s.vars[name] + 1) }
	}
	if !t.signed && name[0] == '@' {
		g.line("%s++;", name)
		return func(s *state) { s.vars[name]++ }
	}
	g.line("%s--;", name)
	return func(s *state) { s.vars[name] = t.wrap(s.vars[name] - 1) }
}

// update changes an entry of a map.
func (g *gen) update(i int) stmt {
	k, name := g.anyKey(2), fmt.Sprintf("@m%d", i)
	at := fmt.Sprintf("%s[%s]", name, keyText(i, k))
	entry := func(s *state) map[string]uint64 {
		if s.maps[name] == nil {
			s.maps[name] = map[string]uint64{}
		}
		return s.maps[name]
	}
	switch g.r.Intn(5) {
	case 0:
		g.line("%s++;", at)
		return func(s *state) { entry(s)[key(k.eval(s))]++ }
	case 1:
		x := g.cast(g.expr(2), g.scalarType(i))
		g.line("%s += %s;", at, x.text)
		return func(s *state) {
			n := x.eval(s)
			entry(s)[key(k.eval(s))] += n
		}
	case 2:
		if i > 0 {
			break
		}
		g.line("delete(%s, %s);", name, keyText(i, k))
		return func(s *state) { delete(entry(s), key(k.eval(s))) }
	}
	x := g.cast(g.expr(3), g.scalarType(i))
	g.line("%s = %s;", at, x.text)
	return func(s *state) {
		n := x.eval(s)
		entry(s)[key(k.eval(s))] = n
	}
}

func (g *gen) loop() stmt {
	name := fmt.Sprintf("$i%d", g.names)
	g.names++
	n := 1 + g.r.Intn(4)
	end := g.constant(n)
	switch g.r.Intn(4) {
	case 0:
		g.line("unroll (%d) {", n)
		body := g.body(n, false)
		g.line("}")
		return repeat(n, nil, body)
	case 1:
		g.line("let %s : int64 = 0;", name)
		g.line("while (%s < %d) {", name, n)
		g.tabs++
		g.line("%s++;", name)
		g.tabs--
		g.read = append(g.read, variable(name, i64))
		body := g.body(n, true)
		g.read = g.read[:len(g.read)-1]
		g.line("}")
		return repeat(n, func(s *state, i int) { s.vars[name] = uint64(i + 1) }, body)
	case 2:
		n = 17 + g.r.Intn(8) // more than are done in place
		end = g.constant(n)
	case 3:
		x := g.typed(2)
		end = expr{fmt.Sprintf("((uint64)%s & 7)", x.text), u64, func(s *state) uint64 { return x.eval(s) & 7 }}
		n = 7
	}
	g.line("for %s : 0..%s {", name, end.text)
	i := variable(name, i64)
	i.text = "(int64)" + name // its own type is that of the range
	g.read = append(g.read, i)
	body := g.body(n, true)
	g.read = g.read[:len(g.read)-1]
	g.line("}")
	return func(s *state) {
		repeat(int(end.eval(s)), func(s *state, i int) { s.vars[name] = uint64(i) }, body)(s)
	}
}

func (g *gen) body(n int, jumps bool) []stmt {
	turns, loops := g.turns, g.loops
	g.turns *= n
	g.loops = 0
	if jumps {
		g.loops = 1
	}
	body := g.block(1 + g.r.Intn(3))
	g.turns, g.loops = turns, loops
	return body
}

func repeat(n int, begin func(*state, int), body []stmt) stmt {
	return func(s *state) {
		for i := range n {
			if begin != nil {
				begin(s, i)
			}
			run(s, body)
			j := s.jump
			s.jump = goOn
			if j == breaks {
				return
			}
		}
	}
}

func (g *gen) jump() stmt {
	c := g.expr(2)
	word, j := "break", breaks
	if g.r.Intn(2) == 0 {
		word, j = "continue", continues
	}
	g.line("if (%s) {", c.text)
	g.line("\t%s;", word)
	g.line("}")
	return func(s *state) {
		if c.eval(s) != 0 {
			s.jump = j
		}
	}
}
