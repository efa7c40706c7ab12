package lab

import "fmt"

// Address returns one of as many public addresses as one likes, IPv4 or IPv6 by turns, and the prefix that it is learned as.
func Address(n int) (from, prefix string) {
	if n%2 == 0 {
		from = fmt.Sprintf("5.%d.%d.%d", n>>16&255, n>>8&255, n&255)
		return from, from + "/32"
	}
	return fmt.Sprintf("2a00:%x:%x:1::7", n>>16+1, n&0xffff), fmt.Sprintf("2a00:%x:%x:1::/64", n>>16+1, n&0xffff)
}
