package falco

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/hosts"
)

// TypeOf returns the type of a term's values, and whether it has a list of them.
func (t *Term) TypeOf() (of Type, list bool) {
	switch {
	case t.Field != nil && t.Field.Name == "evt.rawarg":
		return rawType(t.Arg), false
	case t.Field != nil:
		return t.Field.Type, t.Field.List
	case t.Name == "len":
		return Number, false
	case t.Name == "getopt":
		return Text, !t.HasArg
	case t.Name == "val", t.Name == "tolower", t.Name == "toupper", t.Name == "b64", t.Name == "basename":
		of, list = t.Args[0].TypeOf()
		return of, list
	}
	return Text, false
}

// rawType returns the type of the parameter with a name.
func rawType(name string) Type {
	for _, e := range Events.Get() {
		if p := e.Param(name); p != nil {
			switch p.Kind {
			case String, Path, Data, Tuple, SockAddr:
				return Text
			}
			return Number
		}
	}
	return Text
}

// checkTypes reports a comparison that is not possible.
func (e *expansion) checkTypes(c *Check) {
	fail := func(format string, args ...any) {
		e.failed = true
		e.diags.Errorf(c.At, format, args...)
	}
	e.checkTerm(c.Left, c.At)
	if c.Right != nil {
		e.checkTerm(c.Right, c.At)
	}
	if e.failed {
		return
	}
	t, list := c.Left.TypeOf()
	if f := c.Left.Field; f != nil && f.PrintOnly {
		fail("the field '%s' is only for outputs", f.Name)
		return
	}
	switch {
	case c.Op == "exists":
		return
	case list && c.Op != "in" && c.Op != "intersects":
		fail("%s is a list, which 'in', 'intersects' and 'exists' compare, not '%s'", c.Left, c.Op)
		return
	case policy.Among(numberOps, c.Op) && t != Number && t != Decimal && t != Port && t != Text:
		fail("'%s' compares numbers, and %s is %s", c.Op, c.Left, t)
		return
	case !policy.Among(numberOps, c.Op) && !policy.Among([]string{"=", "!=", "in", "intersects"}, c.Op) && t != Text:
		fail("'%s' is for texts, and %s is %s", c.Op, c.Left, t)
		return
	}
	if c.Right != nil {
		if u, _ := c.Right.TypeOf(); u != t && !(isNumber(t) && isNumber(u)) && !(t <= Network && t >= Address && u >= Address && u <= Network) {
			fail("%s is %s, and %s is %s", c.Left, t, c.Right, u)
		}
		return
	}
	for _, text := range c.Texts {
		if msg := checkValue(c.Op, t, text); msg != "" {
			fail("%s", msg)
			return
		}
	}
}

func isNumber(t Type) bool { return t == Number || t == Port }

func (e *expansion) checkTerm(t *Term, at source.Span) {
	switch t.Name {
	case "tolower", "toupper", "b64", "basename":
		if of, _ := t.Args[0].TypeOf(); of != Text {
			e.failed = true
			e.diags.Errorf(at, "%s() is for texts, and %s is %s", t.Name, t.Args[0], of)
		}
	case "getopt":
		if len(t.Args) != 2 {
			e.failed = true
			e.diags.Errorf(at, "getopt() takes the arguments of a command and the letters of its options")
		}
	case "join", "concat":
		if len(t.Args) < 2 {
			e.failed = true
			e.diags.Errorf(at, "%s() takes at least two values", t.Name)
		}
	}
	for _, a := range t.Args {
		e.checkTerm(a, at)
	}
}

// checkValue returns an error message if an operator cannot compare a value with a type, or
// "".
func checkValue(op string, t Type, text string) string {
	var err error
	switch t {
	case Number:
		if _, err = ParseNumber(text); err != nil {
			return fmt.Sprintf("'%s' is not a number", text)
		}
	case Decimal:
		if _, err = ParseDecimal(text); err != nil {
			return fmt.Sprintf("'%s' is not a number", text)
		}
	case Port:
		if _, err = ParsePort(text); err != nil {
			return fmt.Sprintf("'%s' is not a port", text)
		}
	case Bool:
		if _, err = ParseBool(text); err != nil {
			return fmt.Sprintf("'%s' is neither true nor false", text)
		}
	case Address:
		if _, err = netip.ParseAddr(text); err != nil {
			return fmt.Sprintf("'%s' is not an address", text)
		}
	case Network:
		if _, err = ParseNetwork(text); err != nil {
			return fmt.Sprintf("'%s' is not a network", text)
		}
	case Text:
		switch op {
		case "regex":
			if _, err = regexp.Compile(text); err != nil {
				return fmt.Sprintf("'%s' is not a regular expression: %v", text, err)
			}
		case "glob", "iglob":
			if _, err = GlobRegexp(text, op == "iglob"); err != nil {
				return fmt.Sprintf("'%s' is not a pattern", text)
			}
		case "bcontains", "bstartswith":
			if _, err = hex.DecodeString(text); err != nil {
				return fmt.Sprintf("'%s' is not a sequence of bytes in hexadecimal digits", text)
			}
		}
	}
	return ""
}

// ParseNumber returns a number of a condition.
func ParseNumber(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil { // leading zeros
		return n, nil
	}
	n, err := strconv.ParseUint(text, 0, 64)
	if err == nil {
		return int64(n), nil
	}
	f, ferr := strconv.ParseFloat(text, 64)
	if ferr == nil {
		return int64(f), nil
	}
	return 0, err
}

// ParseDecimal returns a number of a condition in millionths.
func ParseDecimal(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 0, 32); err == nil {
		return n * 1e6, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	return int64(math.Round(f * 1e6)), err
}

// ParsePort returns a port, which may be the name of a service.
func ParsePort(text string) (int64, error) {
	if n, err := strconv.ParseUint(text, 0, 16); err == nil {
		return int64(n), nil
	}
	if n, ok := hosts.Port(text); ok {
		return int64(n), nil
	}
	return 0, strconv.ErrSyntax
}

// ParseBool returns a truth value of a condition.
//
//go:noinline
func ParseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, strconv.ErrSyntax
}

// ParseNetwork returns a prefix of addresses. An address is a prefix of its full length.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}
