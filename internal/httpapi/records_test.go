package httpapi

import "testing"

// What a domain must publish, and what does not count.
func TestRecordRules(t *testing.T) {
	const key = "k=rsa; p=MIIB"
	for _, c := range []struct {
		name  string
		found []string
		want  bool
	}{
		{"none", nil, false},
		{"ours", []string{key}, true},
		{"with version and spaces", []string{"v=DKIM1 ; k=rsa;p = MI IB"}, true},
		{"key type left out", []string{"p=MIIB"}, true},
		{"another key", []string{"k=rsa; p=XXXX"}, false},
		{"revoked", []string{"k=rsa; p="}, false},
		{"another type", []string{"k=ed25519; p=MIIB"}, false},
		{"another version", []string{"v=DKIM2; p=MIIB"}, false},
		{"two keys", []string{key, "p=XXXX"}, false},
		{"beside other text", []string{"hello", key}, true},
	} {
		if got := publishesKey(c.found, key); got != c.want {
			t.Errorf("key, %s: %v", c.name, got)
		}
	}
	for spf, want := range map[string]bool{
		"v=spf1 a:mx.example.net ~all": true, "v=spf1 +a:MX.example.net -all": true, "V=SPF1 mx a:mx.example.net": true, "v=spf1 ip4:192.0.2.1 a:mx.example.net include:x -all": true,
		"v=spf1 -all": false, "v=spf1 -a:mx.example.net ~all": false, "v=spf1 ~a:mx.example.net all": false, "v=spf1 a ~all": false, "v=spf1 -all a:mx.example.net": false,
		"v=spf10 a:mx.example.net": false, "v=spf1": false, "": false, "a:mx.example.net": false, "v=spf1 a:mx.example.net.evil ~all": false,
	} {
		if got := permits([]string{"other=1", spf}, "mx.example.net"); got != want {
			t.Errorf("%q: %v", spf, got)
		}
	}
	if permits([]string{"v=spf1 a:mx.example.net ~all", "v=spf1 -all"}, "mx.example.net") {
		t.Error("two policies were taken for one")
	}
}
