package probes

import (
	"bytes"
	"strings"

	"github.com/ianlancetaylor/demangle"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// scoped joins the parts of an attach point that are one name of C++ or Rust: those
// after the binary, and after cpp or inlined. An empty part between two others was a "::".
func scoped(parts []string) []string {
	first := 2
	if len(parts) > 3 && (parts[2] == cppMark || parts[2] == inlinedMark) {
		first = 3
	}
	for i := first + 1; i < len(parts)-1; i++ {
		if parts[i] == "" {
			return append(parts[:first:first], strings.Join(parts[first:], ":"))
		}
	}
	return parts
}

// isSourceName reports whether a pattern denotes functions by their names in C++ or
// Rust, rather than by those of their symbols.
func isSourceName(pattern string) bool {
	return strings.Contains(pattern, "::") || strings.ContainsAny(pattern, "(<")
}

// sourceMatcher returns a function that reports whether a symbol is the function of C++
// or Rust that a pattern denotes. The pattern may omit the parameters, and the arguments
// of the template or generic function: "ns::f", "ns::f(int)", "ns::max<int>". Parts that
// the compiler split from a function are not the function. match compares the pattern
// with a name.
func sourceMatcher(pattern string, match func(pattern, name string) bool) func(symbol []byte) bool {
	words := wordsOf(abiTag.Get().ReplaceAllString(pattern, ""))
	pattern = squeeze(pattern)
	params := hasParams(pattern)
	return func(symbol []byte) bool {
		if !isMangled(symbol) || isPart(symbol) {
			return false
		}
		for _, w := range words {
			if !bytes.Contains(symbol, w) {
				return false
			}
		}
		for _, name := range sourceNames(string(symbol), params) {
			if match(pattern, squeeze(name)) {
				return true
			}
		}
		return false
	}
}

// hasParams reports whether a pattern without blanks has the parameters of functions.
func hasParams(pattern string) bool {
	return strings.Contains(strings.NewReplacer("operator()", "", "(anonymousnamespace)", "").Replace(pattern), "(")
}

// isMangled reports whether the compiler of C++ or Rust made a symbol.
func isMangled(symbol []byte) bool {
	return len(symbol) > 2 && symbol[0] == '_' && (symbol[1] == 'Z' || symbol[1] == 'R')
}

// isPart reports whether a symbol is a part of a function, entered by a jump or called by
// the rest of it.
func isPart(symbol []byte) bool {
	return bytes.Contains(symbol, []byte(".cold")) || bytes.Contains(symbol, []byte(".part."))
}

// squeeze returns a name without blanks and without tags of the ABI.
func squeeze(name string) string {
	return strings.ReplaceAll(abiTag.Get().ReplaceAllString(name, ""), " ", "")
}

var abiTag = lazy.Regexp{Expr: `\[abi:[^]]*\]`}

var word = lazy.Regexp{Expr: `[A-Za-z0-9_]+`}

// wordsOf returns words that the symbol of every function with a name contains, so that
// most symbols need not be decoded. It leaves out arguments, because symbols have other
// names for types, and words that symbols abbreviate.
func wordsOf(pattern string) (words [][]byte) {
	name, _, _ := strings.Cut(strings.ReplaceAll(pattern, "(anonymous namespace)", ""), "<")
	if name, _, _ = strings.Cut(name, "("); strings.Contains(name, "operator") {
		name, _, _ = strings.Cut(name, "operator")
	}
	name = name[strings.LastIndexByte(name, ' ')+1:] // without the type of the result
	for _, w := range word.Get().FindAllString(name, -1) {
		switch w {
		case "std", "allocator", "basic_string", "string", "istream", "ostream", "iostream":
			continue
		}
		words = append(words, []byte(w))
	}
	return words
}

// sourceNames returns the names by which a script may denote the function of a symbol:
// with its parameters or without, and with the arguments of templates or without.
func sourceNames(symbol string, params bool) (names []string) {
	if _, err := demangle.ToString(symbol); err != nil {
		return nil
	}
	opts := []demangle.Option{demangle.NoClones, demangle.NoEnclosingParams}
	if params {
		full, _ := demangle.ToString(symbol, demangle.NoClones)
		names = append(names, full)
		// Functions of templates have the result in front.
		if bare, _ := demangle.ToString(symbol, append(opts, demangle.NoParams)...); bare != "" {
			if i := strings.Index(full, bare); i > 0 {
				names = append(names, full[i:])
			}
		}
	} else {
		opts = append(opts, demangle.NoParams)
		full, _ := demangle.ToString(symbol, opts...)
		plain, _ := demangle.ToString(symbol, append(opts, demangle.NoTemplateParams)...)
		names = append(names, full, plain)
	}
	if strings.HasPrefix(symbol, "_R") || !strings.ContainsAny(names[0], "(") && hashed.Get().MatchString(symbol) {
		name := names[0]
		method := methodOf(name)
		names = []string{name, method, strings.ReplaceAll(method, "::<", "<"), withoutArgs(method)}
	}
	return names
}

// hashed matches symbols of Rust in the older form, which end with a hash.
var hashed = lazy.Regexp{Expr: `17h[0-9a-f]{16}E`}

// withoutArgs returns a name of Rust without the arguments of generic types and functions.
func withoutArgs(name string) string {
	var b bytes.Buffer
	depth := 0
	for i, c := range name {
		switch {
		case c == '<':
			depth++
		case c == '>' && name[i-1] != '-':
			depth--
		case depth == 0:
			b.WriteRune(c)
		}
	}
	return strings.TrimSuffix(strings.ReplaceAll(b.String(), "::::", "::"), "::")
}

// methodOf returns the name of a method of Rust, "<T>::m" or "<T as Trait>::m", in the
// form "T::m". It returns other names unchanged.
func methodOf(name string) string {
	if !strings.HasPrefix(name, "<") {
		return name
	}
	depth := 0
	for i, c := range name {
		switch c {
		case '<':
			depth++
		case '>':
			if i > 0 && name[i-1] == '-' {
				continue
			}
			if depth--; depth == 0 {
				of, _, _ := strings.Cut(name[1:i], " as ")
				return of + name[i+1:]
			}
		}
	}
	return name
}

// sourceName returns the name of a symbol's function in C++ or Rust, without tags of the
// ABI and quoted where scripts must quote it, or the symbol.
func sourceName(symbol string) string {
	name, err := demangle.ToString(symbol)
	if err != nil {
		return symbol
	}
	name = abiTag.Get().ReplaceAllString(name, "")
	if strings.ContainsAny(name, " ,{") {
		return `"` + name + `"`
	}
	return name
}
