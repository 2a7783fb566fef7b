package attach

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// substitute replaces positional parameters in the parts of an attach point. A
// parameter that contains colons is split into several parts.
func substitute(parts, params []string) []string {
	if !slices.ContainsFunc(parts, func(s string) bool { return strings.Contains(s, "$") }) {
		return parts
	}
	var out []string
	for _, part := range parts {
		if text, changed := substituteText(part, params); changed {
			out = append(out, strings.Split(text, ":")...)
		} else {
			out = append(out, part)
		}
	}
	return out
}

func substituteText(s string, params []string) (string, bool) {
	var b bytes.Buffer
	changed := false
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if s[i+1] == '#' {
			b.WriteString(strconv.Itoa(len(params)))
			i, changed = i+1, true
			continue
		}
		n, j := 0, i+1
		for j < len(s) && s[j] >= '0' && s[j] <= '9' && n < 1e6 {
			n = n*10 + int(s[j]-'0')
			j++
		}
		if n == 0 {
			b.WriteByte(s[i])
			continue
		}
		if n <= len(params) {
			b.WriteString(params[n-1])
		}
		i, changed = j-1, true
	}
	return b.String(), changed
}
