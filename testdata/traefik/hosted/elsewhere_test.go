package hosted

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// elsewhere are the examples, by their path below examples/, that tests with more of the real world than this package
// run, with the file of that test.
var elsewhere = map[string]string{
	"certificates/openssl.sh":    "e2e/openssl_test.go",
	"certificates/step-ca.sh":    "e2e/stepca_test.go",
	"identities/dynamic.yml":     "e2e/spiffe_test.go",
	"identities/envoy-rbac.yaml": "e2e/spiffe_test.go",
	"redis/redis.conf":           "hosted/sharing_test.go",
	"checking/hosts.sh":          "e2e/checking_test.go",
	"quickstart/traefik.yml":     "e2e/quickstart_test.go",
	"quickstart/dynamic.yml":     "e2e/quickstart_test.go",
	"status/revoke.sh":           "e2e/revoke_test.go",
}

func TestExamplesElsewhere(t *testing.T) {
	folders := map[string]bool{}
	for name, file := range elsewhere {
		folders[filepath.Dir(name)] = true
		if _, err := os.Stat(filepath.Join(root, "examples", name)); err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(filepath.Join(root, "testdata", "traefik", file))
		if err != nil || !strings.Contains(string(data), `"`+name+`"`) {
			t.Errorf("%s doesn't use examples/%s: %v", file, name, err)
		}
	}
	for folder := range folders {
		checkWarning(t, folder)
	}
}
