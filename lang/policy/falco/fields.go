package falco

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// Type is the type of a field's values.
type Type uint8

const (
	Text Type = iota
	Number
	Decimal // a number with a fraction
	Bool
	Address // an Internet address
	Network // an address that is compared with prefixes
	Port
)

var typeNames = map[Type]string{Text: "a text", Number: "a number", Decimal: "a number", Bool: "true or false", Address: "an address", Network: "a network", Port: "a port"}

func (t Type) String() string { return typeNames[t] }

// Field is a field of events.
type Field struct {
	Name string
	Type Type
	// Arg specifies whether the field takes an argument in brackets. If Dotted is set, the
	// argument may also follow a dot: evt.arg.name.
	Arg    ArgRule
	Dotted bool
	// If Any is set, the field without an argument stands for several values, and a
	// comparison is true if it is true for one of them. If List is set, the field has a
	// list of values.
	Any, List bool
	// FilterOnly fields can be used only in conditions, PrintOnly fields only in outputs.
	FilterOnly, PrintOnly bool
	// Never is set if the field never has a value in gotrace.
	Never bool
}

// ArgRule specifies whether a field has an argument.
type ArgRule uint8

const (
	NoArg ArgRule = iota
	MayArg
	MustArg
)

// Fields returns all fields by their names. The result must not be changed.
var Fields = lazy.Table[map[string]*Field]{New: func() map[string]*Field {
	fields := map[string]*Field{}
	types := map[string]Type{"text": Text, "number": Number, "decimal": Decimal, "bool": Bool, "address": Address, "network": Network, "port": Port}
	for _, line := range strings.Split(strings.TrimSpace(fieldTable), "\n") {
		words := strings.Fields(line)
		f := &Field{Name: words[0], Type: types[words[1]]}
		for _, w := range words[2:] {
			switch w {
			case "arg":
				f.Arg = MustArg
			case "arg?":
				f.Arg = MayArg
			case "dot":
				f.Dotted = true
			case "any":
				f.Any = true
			case "list":
				f.List = true
			case "filter":
				f.FilterOnly = true
			case "print":
				f.PrintOnly = true
			case "never":
				f.Never = true
			}
		}
		fields[f.Name] = f
	}
	return fields
}}

// lookupField returns the field with a name, and its argument. msg is an error message, or
// "".
func lookupField(name, arg string, hasArg bool) (f *Field, outArg string, outHas bool, msg string) {
	fields := Fields.Get()
	f = fields[name]
	if f == nil {
		for end := strings.LastIndexByte(name, '.'); end > 0; end = strings.LastIndexByte(name[:end], '.') {
			if g := fields[name[:end]]; g != nil && g.Dotted {
				f = g
				if hasArg {
					return nil, "", false, fmt.Sprintf("%s has two arguments", name)
				}
				arg, hasArg = name[end+1:], true
				break
			}
		}
	}
	switch {
	case f == nil:
		return nil, "", false, fmt.Sprintf("there is no field '%s'", name)
	case hasArg && f.Arg == NoArg:
		return nil, "", false, fmt.Sprintf("the field '%s' has no argument", f.Name)
	case !hasArg && f.Arg == MustArg:
		return nil, "", false, fmt.Sprintf("the field '%s' needs an argument", f.Name)
	}
	if hasArg && f.Any && f.Name != "proc.aenv" {
		if _, err := strconv.ParseUint(arg, 10, 16); err != nil {
			return nil, "", false, fmt.Sprintf("the argument of '%s' is the number of a generation, not '%s'", f.Name, arg)
		}
	}
	return f, arg, hasArg, ""
}

// suggest returns a hint for a field that does not exist.
func suggest(name string) string {
	var names []string
	for n := range Fields.Get() {
		names = append(names, n)
	}
	slices.Sort(names)
	return source.DidYouMean(name, names)
}
