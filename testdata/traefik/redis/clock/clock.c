// A clock that can be set, for redis-server alone: loaded before libc, it adds the seconds that the file CLOCK_OFFSET_FILE
// has, as a decimal number, to what gettimeofday shows. Redis asks nothing else for the time of day.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
	int result = syscall(SYS_gettimeofday, now, zone);
	char text[32] = {0};
	int file = open(getenv("CLOCK_OFFSET_FILE"), O_RDONLY);
	if (file >= 0) {
		if (read(file, text, sizeof text - 1) > 0)
			now->tv_sec += atol(text);
		close(file);
	}
	return result;
}
