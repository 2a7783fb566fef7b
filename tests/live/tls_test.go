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
	"os"
	"os/exec"
	"path/filepath"
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

// TestOpenSSLRequests compares the requests that a client with OpenSSL makes, which starts
// when gotrace runs already, with what is shown. The server is this process.
func TestOpenSSLRequests(t *testing.T) {
	if *peer {
		t.Skip("it has no such command")
	}
	native(t)
	needRoot(t)
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl")
	}
	w := startHTTP(t, serverConfig(t))
	// A copy of the library is one that no process has mapped yet.
	library := opensslCopy(t, openssl, t.TempDir())
	s := start(t, "requests", "http", "-f", "json", "--port", fmt.Sprint(w.port))
	s.attached()
	client := exec.Command(openssl, "s_client", "-quiet", "-connect", w.ln.Addr().String())
	client.Env = append(os.Environ(), "LD_LIBRARY_PATH="+library)
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
	// The probes are in the library once it is seen to work.
	for deadline := time.Now().Add(patience / 2); !strings.Contains(s.stdout.String(), `"comm": "openssl"`); {
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
