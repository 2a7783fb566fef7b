package requests

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// myPacket returns a packet of MySQL.
func myPacket(seq byte, body string) string {
	n := len(body)
	return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}) + body
}

// pgMessage returns a message of PostgreSQL.
func pgMessage(kind byte, body string) string {
	return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
}

const (
	myEOF      = "\xfe\x00\x00\x02\x00"
	myMoreEOF  = "\xfe\x00\x00\x0a\x00"
	myNewEOF   = "\xfe\x00\x00\x02\x00\x00\x00"
	myOK       = "\x00\x03\x00\x02\x00\x00\x00"
	myError    = "\xff\x7a\x04#42S02Table"
	pgReady    = "I"
	redisOther = "*2\r\n$1\r\na\r\n*2\r\n:1\r\n%1\r\n+k\r\n$-1\r\n"
)

func FuzzRedis(f *testing.F) {
	fuzzProtocol(f, redisProtocol(), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n", "+OK\r\n-ERR x\r\n$3\r\nabc\r\n:1\r\n", redisOther)
}

func FuzzPgsql(f *testing.F) {
	fuzzProtocol(f, pgsqlProtocol(), pgMessage('Q', "select 1\x00"),
		pgMessage('P', "\x00select $1\x00\x00\x00")+pgMessage('B', "\x00\x00")+pgMessage('E', "\x00\x00\x00\x00\x00")+pgMessage('S', ""),
		pgMessage('T', "x")+pgMessage('D', "y")+pgMessage('C', "SELECT 1\x00")+pgMessage('Z', pgReady)+pgMessage('E', "SERROR\x00C42P01\x00\x00")+pgMessage('Z', pgReady))
}

func FuzzMySQL(f *testing.F) {
	fuzzProtocol(f, mysqlProtocol(), myPacket(0, "\x03select 1"), myPacket(0, "\x19\x01\x00\x00\x00")+myPacket(0, "\x17\x02\x00\x00\x00"),
		myPacket(1, "\x01")+myPacket(2, "def")+myPacket(3, myEOF)+myPacket(4, "\x011")+myPacket(5, myEOF), myPacket(1, myOK), myPacket(1, myError))
}

func TestSplitDatabases(t *testing.T) {
	tests := []struct {
		p          *Protocol
		data, want string
		unmask     bool
	}{
		{redisProtocol(), "*2\r\n$3\r\nget\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\nsecret\r\n", "GET k 20|SET k 32", false},
		{redisProtocol(), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\nsecret\r\n", "SET k secret 32", true},
		{redisProtocol(), "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n", "AUTH *** 26", false},
		{redisProtocol(), "*1\r\n$4\r\nPING\r\n", "PING  14", false},
		{redisProtocol(), "PING\r\n", "", false},
		{redisProtocol(), "*9999999999999\r\n", "", false},
		{redisProtocol(), "*-1\r\n", "", false},
		{pgsqlProtocol(), pgMessage('Q', "select 'a', 1\x00") + pgMessage('Q', "x\x00"), "QUERY select ?, ? 19|QUERY x 7", false},
		{pgsqlProtocol(), pgMessage('Q', "select 'a',\n 1\x00"), "QUERY select 'a', 1 20", true},
		{pgsqlProtocol(), pgMessage('P', "s1\x00select $1\x00\x00\x00") + pgMessage('D', "Ss1\x00") + pgMessage('S', ""), "PARSE select $1 34", false},
		{pgsqlProtocol(), pgMessage('B', "\x00s1\x00") + pgMessage('E', "\x00") + pgMessage('S', ""), "EXECUTE s1 20", false},
		{pgsqlProtocol(), "\x00\x00\x00\x08\x04\xd2\x16\x2f", "", false},
		{pgsqlProtocol(), "Q\xff\xff\xff\xff", "", false},
		{mysqlProtocol(), myPacket(0, "\x03select \"a\", 1 from t2"), "QUERY select ?, ? from t2 26", false},
		{mysqlProtocol(), myPacket(0, "\x19\x01\x00\x00\x00") + myPacket(0, "\x17\x02\x00\x00\x00\x00"), "EXECUTE statement 2 10", false},
		{mysqlProtocol(), myPacket(0, "\x0e"), "PING  5", false},
		{mysqlProtocol(), myPacket(1, "\x03select"), "", false},
		{mysqlProtocol(), myPacket(0, "\x77"), "", false},
	}
	for _, tt := range tests {
		var got []string
		for _, r := range tt.p.split([]byte(tt.data), uint64(len(tt.data)), &Display{Unmask: tt.unmask}) {
			if !r.silent {
				got = append(got, fmt.Sprintf("%s %s %d", r.Op, r.Target, r.size))
			}
		}
		if s := strings.Join(got, "|"); s != tt.want {
			t.Errorf("%s: %q: %q, want %q", tt.p.Name, tt.data, s, tt.want)
		}
	}
}

func TestReadDatabases(t *testing.T) {
	tests := []struct {
		p          *Protocol
		data, want string
	}{
		{redisProtocol(), "+OK\r\n-ERR no\r\n$3\r\nabc\r\n$-1\r\n:5\r\n", "OK 5 -1, ERR! 9 -1, OK 9 -1, OK 5 -1, OK 4 -1"},
		{redisProtocol(), redisOther + "*0\r\n*-1\r\n", "OK 32 -1, OK 4 -1, OK 5 -1"},
		{redisProtocol(), "junk", ""},
		{pgsqlProtocol(), pgMessage('T', "x") + pgMessage('D', "y") + pgMessage('C', "SELECT 7\x00") + pgMessage('Z', pgReady), "OK 32 7"},
		{pgsqlProtocol(), pgMessage('S', "a\x00b\x00") + pgMessage('E', "SERROR\x00C42P01\x00\x00") + pgMessage('Z', pgReady), "42P01! 26 -1"},
		{pgsqlProtocol(), pgMessage('C', "BEGIN\x00") + pgMessage('C', "INSERT 0 3\x00") + pgMessage('C', "DELETE 2\x00") + pgMessage('Z', pgReady), "OK 47 5"},
		{mysqlProtocol(), myPacket(1, myOK), "OK 11 3"},
		{mysqlProtocol(), myPacket(1, myError), "1146! 18 -1"},
		{mysqlProtocol(), myPacket(1, "\x01") + myPacket(2, "def") + myPacket(3, myEOF) + myPacket(4, "\x011") + myPacket(5, "\x012") + myPacket(6, myEOF), "OK 42 2"},
		{mysqlProtocol(), myPacket(1, "\x01") + myPacket(2, "def") + myPacket(3, "\x011") + myPacket(4, myNewEOF), "OK 29 1"},
		{mysqlProtocol(), myPacket(1, "\x01") + myPacket(2, "def") + myPacket(3, myEOF) + myPacket(4, myMoreEOF) + myPacket(5, myOK), "OK 41 3"},
	}
	for _, tt := range tests {
		for _, n := range []int{1, 3, 5, 1000} {
			var got []string
			for _, r := range answersOf(tt.p, []byte(tt.data), n) {
				s := r.Status
				if r.Failed {
					s += "!"
				}
				if s = fmt.Sprintf("%s %d %d", s, r.RespBytes, r.Rows); !r.Whole {
					s += "-"
				}
				got = append(got, s)
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("%s: %q in pieces of %d: %s, want %s", tt.p.Name, tt.data, n, s, tt.want)
			}
		}
	}
}

func TestMaskSQL(t *testing.T) {
	for _, tt := range [][3]string{ // query, masked, masked where "…" is a literal
		{"select 1", "select ?", "select ?"},
		{"select a1, b_2 from t3 where x=-1.5e-3", "select a1, b_2 from t3 where x=-?", "select a1, b_2 from t3 where x=-?"},
		{"select 'it''s', 'a\\'b' , 0xff", "select ?, ? , ?", "select ?, ? , ?"},
		{`select "a" from t`, `select "a" from t`, `select ? from t`},
		{"select `a` from t", "select `a` from t", "select `a` from t"},
		{"select $1, $tag$secret$tag$, $$x$$", "select $1, ?, ?", "select $1, ?, ?"},
		{"select 1 -- secret\n+ /* secret */ 2", "select ? + ?", "select ? + ?"},
		{"insert into t values (1, 'x", "insert into t values (?, ?", "insert into t values (?, ?"},
		{"select  \n a", "select a", "select a"},
		{"select E'\\x', U&'y', 1e10, 12abc", "select E?, U&?, ?, ?", "select E?, U&?, ?, ?"},
		{"select $tag$cut", "select ?", "select ?"},
	} {
		for i, quotes := range []bool{false, true} {
			if got := maskSQL(tt[0], quotes); got != tt[1+i] {
				t.Errorf("%q: %q, want %q", tt[0], got, tt[1+i])
			}
		}
	}
}

// FuzzSQL checks that no part of a literal is shown.
func FuzzSQL(f *testing.F) {
	f.Add("select ", " from t")
	f.Add("select 'a''", "x")
	f.Fuzz(func(t *testing.T, before, after string) {
		maskSQL(before+"'s3cret'"+after, false)
		for _, quotes := range []bool{false, true} {
			plain := !strings.ContainsAny(before, "'\"`$-/\\")
			if got := maskSQL(before+"'s3cret'"+after, quotes); plain && strings.Contains(got, "s3cret") && !strings.Contains(after+before, "s3cret") {
				t.Errorf("%q shows the literal: %q", before+"'s3cret'"+after, got)
			}
		}
	})
}

// dnsQuery is a query for a name, and dnsAnswer the start of its answer.
const (
	dnsQuery  = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x00\x00\x1c\x00\x01"
	dnsAnswer = "\x12\x34\x81\x83\x00\x01\x00\x02\x00\x00\x00\x00\x01a\x07example\x00\x00\x1c\x00\x01"
)

func FuzzDNS(f *testing.F) { fuzzProtocol(f, dnsProtocol(), dnsQuery, dnsAnswer) }

func TestDNS(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{dnsQuery, "AAAA a.example 27"},
		{dnsQuery[:12] + "\x00\x00\x02\x00\x01", "NS . 17"},
		{dnsQuery[:12] + "\x01a\x00\xff\x00\x00\x01", "TYPE65280 a 19"},
		{dnsAnswer, ""}, {dnsQuery[:20], ""}, {dnsQuery[:12] + "\xc0\x0c\x00\x01\x00\x01", ""}, {"", ""},
	} {
		got := ""
		for _, r := range splitDNS([]byte(tt.data), uint64(len(tt.data)), &Display{}) {
			got += fmt.Sprintf("%s %s %d", r.Op, r.Target, r.size)
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.data, got, tt.want)
		}
	}
	list := answersOf(dnsProtocol(), []byte(dnsAnswer), 1000)
	if got := describe(list); got != "   status=NXDOMAIN failed=true rows=2 size=0 resp=27 whole=true\n" {
		t.Errorf("%q", got)
	}
}
