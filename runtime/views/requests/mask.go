package requests

import "strings"

// masked replaces text that is shown only with --unmask.
const masked = "***"

// maskTarget hides the query of a path or URL, and a user and password in it.
func maskTarget(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i] + s[i:i+1] + masked
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		host, path, hasPath := strings.Cut(rest, "/")
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			host = masked + host[i:]
		}
		if s = scheme + "://" + host; hasPath {
			s += "/" + path
		}
	}
	return s
}

// routeOf returns a path without its query and with * for numbers and IDs, so that
// requests for objects of the same kind have the same route.
func routeOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if isID(p) {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// isID reports whether a part of a path is a number, or at least 16 hexadecimal digits and
// dashes, such as a UUID or a hash.
func isID(s string) bool {
	digits, hex := 0, 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
			hex++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' || c == '-':
			hex++
		}
	}
	return digits == len(s) && digits > 0 || hex == len(s) && hex >= 16 && digits > 0
}
