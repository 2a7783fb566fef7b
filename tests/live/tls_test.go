package live

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certificate returns a certificate for a test, and its key, as PEM.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs})
}

func serverConfig(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(certificate(t))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// TestOpenSSLRequests runs a client that uses OpenSSL as a library.
func TestOpenSSLRequests(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl")
	}
	// A copy of the library is one that no process has mapped yet.
	library := opensslCopy(t, openssl, t.TempDir())
	testTLSClient(t, "openssl", func(port string) *exec.Cmd {
		c := exec.Command(openssl, "s_client", "-quiet", "-connect", "127.0.0.1:"+port)
		c.Env = append(os.Environ(), "LD_LIBRARY_PATH="+library)
		return c
	})
}

// TestStaticOpenSSLRequests runs a client that contains OpenSSL, with its symbols.
func TestStaticOpenSSLRequests(t *testing.T) {
	program := filepath.Join(t.TempDir(), "tlsclient")
	if out, err := exec.Command("gcc", "-O2", "-static", "-o", program, "testdata/tls.c", "-lssl", "-lcrypto").CombinedOutput(); err != nil {
		t.Skipf("there is no static OpenSSL: %v: %s", err, out)
	}
	testTLSClient(t, "tlsclient", func(port string) *exec.Cmd { return exec.Command(program, port) })
}

// testTLSClient starts a client while gotrace runs, and compares the client's requests
// with the output. The server is this process.
func testTLSClient(t *testing.T, comm string, command func(port string) *exec.Cmd) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t)
	needRoot(t)
	w := startHTTP(t, serverConfig(t))
	s := start(t, "requests", "http", "-f", "json", "--port", fmt.Sprint(w.port))
	s.attached()
	client := command(fmt.Sprint(w.port))
	in, _ := client.StdinPipe()
	out, _ := client.StdoutPipe()
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer client.Wait()
	defer client.Process.Kill()
	answers := &counting{from: out}
	answers.Reader = bufio.NewReader(struct{ io.Reader }{answers})
	ask := func(path string) {
		req := text("GET", path, "", "")
		io.WriteString(in, req)
		w.answer(answers, "GET", path, len(req), time.Time{})
	}
	// When the first request is shown, the probes are attached to the library.
	for deadline := time.Now().Add(patience / 2); !strings.Contains(s.stdout.String(), fmt.Sprintf(`"comm": %q`, comm)); {
		if time.Now().After(deadline) {
			t.Fatalf("the client is not seen:\n%s\n%s", s.stdout.String(), s.stderr.String())
		}
		ask("/wait/10")
	}
	w.want = nil
	for i := range 30 {
		for _, path := range []string{"/status/200", "/status/404", "/size/70000", "/chunked/3"} {
			ask(fmt.Sprintf("%s?%d", path, i))
		}
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	if r.missed() > 0 || strings.Contains(r.stdout, "lost_events") {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	for _, want := range w.want[:4] { // one of each: query strings are not shown
		path, _, _ := strings.Cut(want.path, "?")
		for _, side := range []bool{true, false} {
			found := 0
			for _, q := range requestsIn(t, r.stdout) {
				if q.Server == side && strings.HasPrefix(q.Path, path+"?") && q.TLS && q.Status != nil && *q.Status == want.status &&
					q.ReqBytes >= want.reqBytes && q.RespBytes == want.respBytes && q.Complete {
					found++
				}
			}
			if found != 30 {
				t.Errorf("%s is seen %d times with server %v, want 30 times\n%s", path, found, side, r.stderr)
			}
		}
	}
}

// opensslCopy copies the library that openssl uses and returns its directory.
func opensslCopy(t *testing.T, openssl, dir string) string {
	t.Helper()
	out, err := exec.Command("ldd", openssl).Output()
	if err != nil {
		t.Skipf("ldd: %v", err)
	}
	for _, line := range strings.Split(string(out), "\n") {
		words := strings.Fields(line)
		if len(words) < 3 || !strings.HasPrefix(words[0], "libssl") {
			continue
		}
		data, err := os.ReadFile(words[2])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, words[0]), data, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Skip("openssl does not use a library libssl")
	return ""
}

// TestTLSHello compares the greetings of clients with the parameters that the clients
// requested.
func TestTLSHello(t *testing.T) {
	if *peer {
		t.Skip("it has no such event")
	}
	needRoot(t)
	config := serverConfig(t)
	config.NextProtos = []string{"h2", "http/1.1", "x"}
	ln, err := tls.Listen("tcp4", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	port := ln.Addr().(*net.TCPAddr).Port
	s := start(t, "-q", "-e", fmt.Sprintf(`tls:hello /args.lport == %d || args.rport == %d/ { printf("[%%s] %%x [%%s] %%d\n", args.sni, args.version, args.alpn, args.server); }`, port, port))
	s.attached()
	var want []string
	for _, c := range []struct {
		name   string
		max    uint16
		protos []string
	}{
		{"example.org", tls.VersionTLS13, nil},
		{"example.org", tls.VersionTLS12, []string{"h2"}},
		{"", tls.VersionTLS12, []string{"http/1.1", "h2"}},
		{"a", tls.VersionTLS13, []string{"x"}},
		{strings.Repeat("long.", 49) + "org", tls.VersionTLS12, nil},
	} {
		// Without the key exchange whose keys are long, the greeting is one piece.
		conn, err := tls.Dial("tcp4", ln.Addr().String(), &tls.Config{
			InsecureSkipVerify: true, ServerName: c.name, MaxVersion: c.max, NextProtos: c.protos, CurvePreferences: []tls.CurveID{tls.X25519},
		})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		alpn := ""
		if len(c.protos) > 0 {
			alpn = c.protos[0]
		}
		for server := range 2 {
			want = append(want, fmt.Sprintf("[%s] %x [%s] %d", c.name, c.max, alpn, server))
		}
	}
	// Data that is not a greeting, or ends too early.
	for _, junk := range []string{"\x16\x03\x01", "\x16\x03\x01\x00\x05\x02hello", "\x16\x02\x01\x00\x05\x01hello", "\x01\x00\x00\x04hell", strings.Repeat("\x16", 2000)} {
		c, err := net.Dial("tcp4", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, junk)
		c.Close()
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	if r.missed() > 0 {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	got := strings.Split(strings.TrimSpace(r.stdout), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), r.stderr)
	}
}
