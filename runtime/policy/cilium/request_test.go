package cilium

import "testing"

// TestRequestHost takes the host of a request from its headers only.
func TestRequestHost(t *testing.T) {
	for text, want := range map[string]string{
		"GET /p HTTP/1.1\r\nHost: a\r\n\r\n":               "a",
		"GET /p HTTP/1.1\r\nhOST:\t a \r\n\r\n":            "a",
		"GET /p HTTP/1.1\r\nHost:a\r\nHost: b\r\n\r\n":     "a",
		"POST /p HTTP/1.1\r\nX: y\r\n\r\nHost: b\r\n":      ":0",
		"POST /p HTTP/1.1\r\nHost: a\r\n\r\nHost: b\r\n":   "a",
		"POST /p HTTP/1.1\r\n\r\nHost: b\r\n":              ":0",
		"POST /p HTTP/1.1\r\nX-Host: b\r\nHosts: c\r\n":    ":0",
		"POST /p HTTP/1.1\r\nHost: a, which is cut":        "a, which is cut",
		"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3": "a",
	} {
		f := &Flow{Text: text}
		if want == ":0" {
			want = f.Dst.String()
		}
		method, path, version, host := f.Request()
		if path != "/p" || version != "HTTP/1.1" || method == "" || host != want {
			t.Errorf("%q: %q %q %q %q, want %q", text, method, path, version, host, want)
		}
	}
}
