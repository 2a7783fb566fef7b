package pattern

import "strings"

// Cache keeps automata, so that equal lists of patterns share one. The zero value is
// empty.
type Cache struct{ made map[string]made }

type made struct {
	auto *Automaton
	err  error
}

// Compile is like the function Compile.
func (c *Cache) Compile(patterns []Pattern) (*Automaton, error) {
	return c.get("each", patterns, Compile)
}

// Any is like the function Any.
func (c *Cache) Any(patterns []Pattern) (*Automaton, error) {
	return c.get("any", patterns, Any)
}

func (c *Cache) get(kind string, patterns []Pattern, compile func([]Pattern) (*Automaton, error)) (*Automaton, error) {
	var b strings.Builder
	b.WriteString(kind)
	for _, p := range patterns {
		for _, s := range []string{p.Text, p.expr} {
			b.WriteByte(0xff) // is in no pattern that is valid UTF-8
			b.WriteString(s)
		}
	}
	m, ok := c.made[b.String()]
	if !ok {
		m.auto, m.err = compile(patterns)
		if c.made == nil {
			c.made = map[string]made{}
		}
		c.made[b.String()] = m
	}
	return m.auto, m.err
}
