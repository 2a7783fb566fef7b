// Package scriptgen generates random scripts over integers together with their results:
// for every expression and statement it also generates a Go function that does the same
// by the language's rules, independently of the compiler. The scripts contain all
// widths and signs, casts, promotions, shifts, divisions, conditions, variables,
// tuples, maps, and all kinds of loops.
package scriptgen

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
)

// Script is a script with one program, and the final contents of its maps.
type Script struct {
	Text string
	// Results holds the final values of the keyless maps @r0, @r1 and so on.
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

// wrap returns n as a value of t, extended to 64 bits.
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

// loose reports whether t adopts the sign of the other operand.
func (t typ) loose() bool { return t.kind != integer }

// join returns the type in which two operands are compared.
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
	return i64 // signed, and large enough for all types below 64 bits
}

// state is the memory of a running script.
type state struct {
	vars   map[string]uint64 // variables, elements of tuples, maps without keys
	maps   map[string]map[string]uint64
	jump   jump
	result uint64 // of the function that returns
}

type jump uint8

const (
	goOn jump = iota
	breaks
	continues
	returns
)

type expr struct {
	text string
	t    typ
	eval func(*state) uint64
}

type stmt func(*state)

type gen struct {
	r     *rand.Rand
	b     bytes.Buffer
	tabs  int
	depth int // depth of nested blocks
	loops int // enclosing loops that a statement may leave: 0 or 1
	turns int // product of the iterations of all enclosing loops
	left  int // number of statements left to generate

	vars   []expr // variables
	read   []expr // variables of loops, which are only read
	names  int    // of those so far
	prefix string // of the names of variables
	funcs  []fun
	result *typ // of the function whose body this is
	tupled bool // the tuples have been assigned
}

var types = []typ{{1, true, 0}, {1, false, 0}, {2, true, 0}, {2, false, 0}, {4, true, 0}, {4, false, 0}, {8, true, 0}, {8, false, 0}}

var numbers = []int64{0, 1, 2, 3, 5, 7, 8, 10, 31, 32, 63, 64, 100, 127, 128, 200, 255, 256, 1000, 32767, 32768, 65535, 65536,
	1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1}

const scalars, hashes, tuples = 4, 3, 2

// Program generates a script of about size statements from a seed.
func Program(seed int64, size int) *Script {
	g := &gen{r: rand.New(rand.NewSource(seed)), turns: 1, left: size}
	for i := range g.r.Intn(3) {
		g.funcs = append(g.funcs, g.function(i))
	}
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

// keyRange is the number of keys that a map may have.
const keyRange = 4

var keyTypes = [hashes][]typ{{{1, false, 0}}, {{8, true, 0}}, {{2, true, 0}, {4, false, 0}}}

// entry returns @m[k], with k converted to the types of the map's keys.
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
	name := fmt.Sprintf("$%st%d", g.prefix, i)
	g.line("%s = (%s);", name, strings.Join(texts, ", "))
	return func(s *state) {
		now := make([]uint64, len(values))
		for k, x := range values {
			now[k] = x.eval(s)
		}
		for k, n := range now {
			s.vars[fmt.Sprintf("%s.%d", name, k)] = n
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
