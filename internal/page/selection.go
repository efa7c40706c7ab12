package page

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
)

// A Selection is of grants to revoke. What is empty or zero stands for all.
type Selection struct {
	Store    string
	IPs      netip.Prefix
	Identity string
}

// ParseSelection reads store, ip and identity; an identity may be quoted, as in Go. It takes no other keys, and none that is empty: an unset variable in a
// script isn't to revoke everything.
func ParseSelection(values url.Values) (Selection, error) {
	s := Selection{Store: values.Get("store"), Identity: values.Get("identity")}
	for key, texts := range values {
		if key != "store" && key != "ip" && key != "identity" {
			return Selection{}, fmt.Errorf("%s: want store, ip or identity", key)
		}
		if len(texts) != 1 || texts[0] == "" {
			return Selection{}, fmt.Errorf("%s: invalid value %q: want one, not empty", key, strings.Join(texts, ","))
		}
	}
	if len(values) == 0 {
		return Selection{}, errors.New("want at least one of store, ip and identity")
	}
	var err error
	if strings.HasPrefix(s.Identity, `"`) {
		if s.Identity, err = strconv.Unquote(s.Identity); err != nil {
			return Selection{}, fmt.Errorf("identity: invalid value %q: want no quotation marks, or both", values.Get("identity"))
		}
	}
	if text := values.Get("ip"); text != "" {
		if s.IPs, err = clientip.ParsePrefix(text); err != nil {
			return Selection{}, fmt.Errorf("ip: invalid value %q: want an IP or a CIDR", text)
		}
	}
	return s, nil
}
