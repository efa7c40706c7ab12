package replicas

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

// TestNonsenseInRedisIsPassedOver has somebody write what no plugin would, beside what one would.
func TestNonsenseInRedisIsPassedOver(t *testing.T) {
	server := redis.Start(t)
	now := time.Now().UnixMilli()
	writes := func(from, identity string) { // names, and the fingerprint after a "-"
		names, sum, _ := strings.Cut(identity, "-")
		name, _, _ := strings.Cut(names, ",")
		server.CLI("HSET", "{mtlsallowlist:default}:grants", from+"/32 "+name+" -"+sum, fmt.Sprintf("%d %d g %d %d 0c0ffee %s", now, now+3_600_000, now, now, names))
	}
	sum := strings.Repeat("9f0c", 16)
	writes("203.0.113.1", "cn:phone-"+sum)
	nonsense := []string{
		"cn:phone-abc", "cn:phone-" + strings.ToUpper(sum), "sha256:", "cn:", "user:phone", "phone",
		"cn:phone,sha256:" + sum + ",dns:phone", "cn:" + strings.Repeat("x", 5000),
	}
	for i, names := range nonsense {
		writes(fmt.Sprint("203.0.113.1", i), names)
	}
	r := startShared(t, 1, household{redis: redisOptions(server)})[0]
	r.want("200", "203.0.113.1")
	for i := range nonsense {
		r.want("403", fmt.Sprint("203.0.113.1", i))
	}
	if page := r.page(http.MethodGet, ""); !strings.Contains(page, sum[:16]) || !strings.Contains(page, fmt.Sprint(len(nonsense), " entries in Redis made no sense.")) {
		t.Errorf("the page shows %s", page)
	}
	if got := r.ips(); len(got) != 1 || !got["203.0.113.1/32"] {
		t.Errorf("the listing has %v", got)
	}
	if metrics := r.page(http.MethodGet, "metrics"); !strings.Contains(metrics, fmt.Sprintf("mtlsallowlist_redis_skipped_total{store=\"default\"} %d\n", len(nonsense))) {
		t.Errorf("the metrics are %s", metrics)
	}
}
