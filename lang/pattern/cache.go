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

// maxTogether is the number of bytes of patterns for which one automaton is tried, and
// maxParts the number of automata that a list may need.
const (
	maxTogether = 4096
	maxParts    = 12
)

// Any returns automata of which each is like that of the function Any. It divides patterns
// that are too large for one.
func (c *Cache) Any(patterns []Pattern) ([]*Automaton, error) {
	parts, err := c.divide(nil, patterns)
	if err == nil && len(parts) > maxParts {
		err = &TooLarge{patterns}
	}
	return parts, err
}

// divide adds the automata of patterns to parts. It ends early if there are too many.
func (c *Cache) divide(parts []*Automaton, patterns []Pattern) ([]*Automaton, error) {
	size := 0
	for _, p := range patterns {
		size += len(p.Text)
	}
	if len(patterns) == 1 || size <= maxTogether {
		a, err := c.get("any", patterns, Any)
		if err == nil || len(patterns) == 1 {
			return append(parts, a), err
		}
	}
	half := len(patterns) / 2
	parts, err := c.divide(parts, patterns[:half])
	if err != nil || len(parts) > maxParts {
		return parts, err
	}
	return c.divide(parts, patterns[half:])
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
