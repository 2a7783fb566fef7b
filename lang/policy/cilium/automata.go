package cilium

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/source"
)

// groups holds distinct regular expressions, in groups that fit in one automaton each.
type groups [][]string

// groupSize is the maximum number of expressions in a group. Each has a bit in a word. The
// sign bit is not used, as literals are not negative.
const groupSize = 60

// groupsOf divides expressions into groups. If a group is too large for an automaton, the
// next groups are smaller, because expressions next to each other are often similar. It
// returns false if there would be more than maxGroups.
func groupsOf(list []string) (g groups, ok bool) {
	seen := map[string]bool{}
	list = slices.DeleteFunc(list, func(text string) bool {
		again := seen[text]
		seen[text] = true
		return again
	})
	for size, fit := groupSize, 0; len(list) > 0; {
		n := min(size, len(list))
		if n > 1 && !compiles(list[:n]) {
			size, fit = n/2, 0
			continue
		}
		if len(list) > most(maxGroups-len(g), size, fit) {
			return g, false
		}
		g = append(g, list[:n])
		list = list[n:]
		if fit++; fit == growAfter {
			size, fit = min(2*size, groupSize), 0
		}
	}
	return g, true
}

// most returns the maximum number of expressions in the next groups, if each group fits.
// With it, groupsOf can reject a list that is too long before it tries all groups.
func most(groups, size, fit int) (n int) {
	for ; groups > 0; groups-- {
		n += size
		if fit++; fit == growAfter {
			size, fit = min(2*size, groupSize), 0
		}
	}
	return n
}

// maxGroups is the maximum number of groups. A text is searched once for each group.
// growAfter is the number of groups of one size that must fit before a larger size is tried.
const (
	maxGroups = 32
	growAfter = 8
)

// compiles reports whether expressions can be one automaton.
func compiles(list []string) bool {
	var ps []pattern.Pattern
	for _, text := range list {
		p, err := pattern.Regexp(text)
		if err != nil {
			return false
		}
		ps = append(ps, p)
	}
	_, err := pattern.Compile(ps)
	return err == nil
}

// find returns the group and the number in it of an expression, or -1.
//
//go:noinline
func (g groups) find(text string) (word, bit int) {
	for w, list := range g {
		if i := slices.Index(list, text); i >= 0 {
			return w, i
		}
	}
	return -1, -1
}

// mask returns, for each group, the bits of expressions.
//
//go:noinline
func (g groups) mask(list []string) []uint64 {
	out := make([]uint64, len(g))
	for _, text := range list {
		if w, i := g.find(text); w >= 0 {
			out[w] |= 1 << i
		}
	}
	return out
}

// all returns the condition that all expressions of a list match. names are the variables
// with the matches of the groups.
func (g groups) all(variable string, list []string) string {
	var conds []string
	for w, bits := range g.mask(list) {
		if bits != 0 {
			conds = append(conds, fmt.Sprintf("(($%s%d ^ $salt) & 0x%x) == 0x%x", variable, w, bits, bits))
		}
	}
	return strings.Join(conds, " && ")
}

// call returns the call that matches a group in a text.
func call(text string, group []string) string {
	var args []string
	for _, e := range group {
		args = append(args, source.Quote(e))
	}
	return fmt.Sprintf("matched(%s, %s)", text, strings.Join(args, ", "))
}

// expressions returns the expressions for names.
//
//go:noinline
func expressions(list []Name) (out []string) {
	for i := range list {
		out = append(out, list[i].Expression())
	}
	return out
}

// without returns a regular expression that matches the same texts as another one, except
// for those that contain one of the given characters.
func without(text, chars string) string {
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return `[^\x00-\x{10ffff}]`
	}
	return "(?:" + write(exclude(re, chars)) + ")"
}

// write returns an expression as text, as its method String does. String takes
// milliseconds for each class with a large range, because it searches the range for
// characters of both cases.
func write(re *syntax.Regexp) string {
	if !large(re) {
		return re.String()
	}
	var b strings.Builder
	if re.Op == syntax.OpCharClass {
		for i := 0; i+1 < len(re.Rune); i += 2 {
			fmt.Fprintf(&b, `\x{%x}-\x{%x}`, re.Rune[i], re.Rune[i+1])
		}
		return "[" + b.String() + "]"
	}
	for i, sub := range re.Sub {
		if i > 0 && re.Op == syntax.OpAlternate {
			b.WriteByte('|')
		}
		b.WriteString("(?:" + write(sub) + ")")
	}
	text := b.String()
	switch re.Op {
	case syntax.OpAlternate:
		text = "(?:" + text + ")"
	case syntax.OpStar:
		text += "*"
	case syntax.OpPlus:
		text += "+"
	case syntax.OpQuest:
		text += "?"
	case syntax.OpRepeat:
		if re.Max < 0 {
			text += fmt.Sprintf("{%d,}", re.Min)
		} else {
			text += fmt.Sprintf("{%d,%d}", re.Min, re.Max)
		}
	}
	return text // OpConcat, OpCapture
}

// large reports whether an expression has a class with a large range.
func large(re *syntax.Regexp) bool {
	if re.Op == syntax.OpCharClass {
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if re.Rune[i+1]-re.Rune[i] > unicode.MaxASCII {
				return true
			}
		}
	}
	return slices.ContainsFunc(re.Sub, large)
}

func exclude(re *syntax.Regexp, chars string) *syntax.Regexp {
	none := &syntax.Regexp{Op: syntax.OpNoMatch}
	class := func(ranges []rune) *syntax.Regexp {
		for _, c := range chars {
			var out []rune
			for i := 0; i+1 < len(ranges); i += 2 {
				lo, hi := ranges[i], ranges[i+1]
				if c < lo || hi < c {
					out = append(out, lo, hi)
					continue
				}
				if lo < c {
					out = append(out, lo, c-1)
				}
				if c < hi {
					out = append(out, c+1, hi)
				}
			}
			ranges = out
		}
		if len(ranges) == 0 {
			return none
		}
		return &syntax.Regexp{Op: syntax.OpCharClass, Rune: ranges}
	}
	switch re.Op {
	case syntax.OpLiteral:
		if strings.ContainsAny(string(re.Rune), chars) {
			return none
		}
	case syntax.OpCharClass:
		return class(re.Rune)
	case syntax.OpAnyChar:
		return class([]rune{0, 0x10ffff})
	case syntax.OpAnyCharNotNL:
		return class([]rune{0, '\n' - 1, '\n' + 1, 0x10ffff})
	case syntax.OpBeginText, syntax.OpBeginLine, syntax.OpEndText, syntax.OpEndLine:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch} // it matches the whole text anyway
	}
	for i, sub := range re.Sub {
		re.Sub[i] = exclude(sub, chars)
	}
	return re
}
