package browser

import (
	"os"
	"path/filepath"
)

// preferences make Chromium present any certificate it has to any server that asks for one, without a prompt: in
// headless mode the prompt is invisible and the page waits for it forever.
//
// It is the setting that the policy AutoSelectCertificateForUrls makes. But policies are read from /etc alone, by all
// that runs on the machine, while preferences are one profile's own.
const preferences = `{"profile": {"content_settings": {"exceptions": {"auto_select_certificate": {
	"https://*,*": {"setting": {"filters": [{}]}}
}}}}}`

// writeProfile fills a new user data directory.
func writeProfile(dir string) error {
	folder := filepath.Join(dir, "Default")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "Preferences"), []byte(preferences), 0o600)
}
