package option

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Whoever may write a middleware, in a namespace or by the labels of a container, also names the host that its password goes
// to. So a middleware reaches no secrets of Traefik's but those that its operator has put here for the plugin.
const (
	SecretPrefix  = "MTLSALLOWLIST_" //nolint:gosec // no secret: what the names of environment variables begin with
	secretsFolder = "/run/secrets"
	secretsNamed  = "MTLSALLOWLIST_SECRETS" //nolint:gosec // no secret: the environment variable that names another folder
)

// maxFile is the largest file that is read for an option, in bytes.
const maxFile = 1 << 20

var errOutside = errors.New("want the path of a file below " + secretsFolder + "/, or instead below the folder that " + secretsNamed + " in Traefik's environment names")

// errToken is about what Kubernetes puts below /run/secrets/kubernetes.io by itself, and others elsewhere: whoever has it is
// taken for Traefik.
var errToken = errors.New("want a password, not a token")

// ReadSecret reads a file below the folder of secrets. Its errors tell neither path, nor content, nor what there is elsewhere.
//
// Symbolic links may lead about in the folder, as those of Kubernetes do, but not out of it. What is read is where they led
// to when they were followed, and no link any more.
func ReadSecret(path string) ([]byte, error) {
	folder, leadsTo, err := folderOfSecrets()
	if err != nil {
		return nil, err
	}
	path = filepath.Clean(path)
	if !isBelow(path, folder) {
		return nil, errOutside // before anything there is looked at
	}
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	if !isBelow(resolved, leadsTo) {
		return nil, errOutside
	}
	if strings.Contains(filepath.ToSlash(resolved), "/kubernetes.io/") {
		return nil, errToken
	}
	return readRegular(resolved)
}

// folderOfSecrets returns its path, and where that leads to.
func folderOfSecrets() (folder, resolved string, err error) {
	folder, named := os.LookupEnv(secretsNamed)
	if !named {
		folder = secretsFolder
	}
	return resolvedFolder(folder, named)
}

// resolvedFolder does so for a folder that the environment has named, or the one by default.
func resolvedFolder(path string, named bool) (folder, resolved string, err error) {
	resolved, err = filepath.EvalSymlinks(path)
	switch {
	case !named && err != nil:
		return path, path, nil // there is nothing in it, either
	case !filepath.IsAbs(path) || filepath.Dir(resolved) == resolved:
		err = errors.New("want the absolute path of a folder other than the root")
	case err != nil:
		err = withoutPath(err)
	}
	if err != nil {
		return "", "", fmt.Errorf("%s in Traefik's environment: %w", secretsNamed, err)
	}
	return filepath.Clean(path), resolved, nil
}

func isBelow(path, folder string) bool {
	return strings.HasPrefix(path, folder+string(filepath.Separator))
}

// ReadPassword reads a secret that is to be sent. It must look like a password: keys, and tokens by which a platform knows
// Traefik, may be in the same folder.
func ReadPassword(path string) (string, error) {
	data, err := ReadSecret(path)
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(data), " \t\r\n")
	isJWT := strings.HasPrefix(password, "eyJ") && strings.Count(password, ".") == 2
	switch {
	case password == "":
		return "", errors.New("want a file with a password")
	case strings.Contains(password, "\n"):
		return "", errors.New("want a password of one line")
	case isJWT:
		return "", errToken
	}
	return password, nil
}

// ReadFile reads a file that is no secret. Its errors don't tell the path.
func ReadFile(path string) ([]byte, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	return readRegular(resolved)
}

// readRegular reads a regular file of a reasonable size: a pipe would have Traefik wait for ever, and a device may have no end.
// What the kernel makes up, in /proc say, is said to be empty.
func readRegular(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("want a regular file")
	case info.Size() == 0:
		return nil, errors.New("it is empty")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, withoutPath(err)
	}
	return data, nil
}

// withoutPath returns what the system said, without the path: that may be the secret itself, by mistake.
func withoutPath(err error) error {
	if why := errors.Unwrap(err); why != nil {
		return why
	}
	return errors.New("it can't be read")
}
