package metrics

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// prefix starts the names of all metrics.
const prefix = "gotrace_"

// baseName returns the name of a map's metric: the name that the script gives it, or that
// of the map after the prefix.
func baseName(m *output.Map) string {
	switch {
	case m.MetricName != "":
		return m.MetricName
	case m.Name == "@":
		return prefix + "map"
	}
	return prefix + cleanName(strings.TrimPrefix(m.Name, "@"))
}

// cleanName replaces the characters that names of labels must not have. A name may not
// start with a digit or with two underscores.
func cleanName(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			b[i] = '_'
		}
	}
	if len(b) == 0 || b[0] >= '0' && b[0] <= '9' {
		b = append([]byte{'_'}, b...)
	}
	return strings.TrimPrefix(string(b), strings.Repeat("_", max(0, leading(b)-1)))
}

// leading returns the number of underscores at the start of b.
func leading(b []byte) int {
	n := 0
	for n < len(b) && b[n] == '_' {
		n++
	}
	return n
}

// labels returns the labels of a key. names are the names of its parts; a part without a
// name is key0, key1 and so on. taken are the names of other labels.
func labels(key value.Value, names []string, taken ...string) []Label {
	var list []Label
	add := func(i int, name string, v value.Value) {
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		list = append(list, Label{free(cleanName(name), list, taken), labelText(v)})
	}
	switch key := key.(type) {
	case nil:
	case value.Tuple:
		for i, v := range key {
			add(i, "key"+strconv.Itoa(i), v)
		}
	case value.Record:
		for i, f := range key {
			add(i, f.Name, f.V)
		}
	default:
		add(0, "key0", key)
	}
	return list
}

// free returns a name that neither list nor taken has: name, or name with a number.
func free(name string, list []Label, taken []string) string {
	used := func(name string) bool {
		for _, l := range list {
			if l.Name == name {
				return true
			}
		}
		for _, t := range taken {
			if t == name {
				return true
			}
		}
		return false
	}
	try := name
	for n := 2; used(try); n++ {
		try = name + "_" + strconv.Itoa(n)
	}
	return try
}

// labelText returns a value as the text of a label. The functions of a stack are separated
// by semicolons, the innermost one first.
func labelText(v value.Value) string {
	if s, ok := v.(value.Stack); ok {
		lines := strings.Split(strings.TrimSpace(s.String()), "\n")
		for i := range lines {
			lines[i] = strings.TrimSpace(lines[i])
		}
		return ValidText(strings.Join(lines, ";"))
	}
	return ValidText(v.String())
}

// ValidText returns text as valid UTF-8, with other bytes as output.AppendRune writes them.
func ValidText(text string) string {
	if utf8.ValidString(text) && !strings.ContainsRune(text, utf8.RuneError) {
		return text
	}
	var b []byte
	for len(text) > 0 {
		var n int
		b, n = output.AppendRune(b, text)
		text = text[n:]
	}
	return string(b)
}

// suffixes are the suffixes that encodings add to the name of a metric of each kind.
var suffixes = [...][]string{
	Gauge:     {""},
	Counter:   {"", "_total", "_created"},
	Histogram: {"", "_bucket", "_count", "_sum", "_created"},
	Summary:   {"", "_count", "_sum", "_created"},
}

// nameTable holds the names of metrics, with and without the suffixes that encodings add.
type nameTable map[string]string // maps each name to the name of its family

// claim returns name, or if another metric has it, name with a suffix: the name of the
// script or a number.
func (t nameTable) claim(name string, kind Kind, script string) string {
	try := name
	for n := 1; !t.fits(try, kind); n++ {
		switch {
		case n == 1 && script != "":
			try = name + "_" + cleanName(script)
		default:
			try = name + "_" + strconv.Itoa(n+1)
		}
	}
	for _, s := range suffixes[kind] {
		t[try+s] = try
	}
	return try
}

func (t nameTable) fits(name string, kind Kind) bool {
	for _, s := range suffixes[kind] {
		if _, ok := t[name+s]; ok {
			return false
		}
	}
	return true
}
