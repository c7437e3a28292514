/* The device of PROTOCOL.md: a sensor behind a wire, every sample sent or counted.
 *
 * The board calls `device_begin` once and then `device_poll` over and over, at least as often as its sensor's FIFO takes
 * to half fill. One interrupt of the board, or its main loop, takes bytes from `device.out`; another puts received ones
 * in with `device_received`. Nothing here waits, except for the sensor at power-up, at changes and in the self-test. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "sensor.h"
#include "wire.h"

#define DEVICE_PROTOCOL_VERSION 1u
#define DEVICE_COMMAND_SIZE (WIRE_HEAD_SIZE + 32u + WIRE_CRC_SIZE) /* of the longest command that is listened to */
#define DEVICE_RECEIVED 64u                                        /* bytes that wait for device_poll; a power of two */

typedef struct device_config {
    const char *device_id, *firmware_version;
    const char *axes; /* as in HELLO: "x,y,z", a leading '-' for an axis that is mounted the other way round */
    const sensor_type *sensor;
    const sensor_bus *bus;
    uint32_t rate_millihertz, range_milli_g; /* at power-up */
    uint8_t block_samples;                   /* in one SAMPLES, at least 1 */
    uint8_t *ring;                           /* for what goes out */
    uint16_t ring_size;                      /* a power of two, room for two SAMPLES */
    void *context;                           /* for the calls below */
    uint32_t (*now_us)(void *context);             /* runs over after 2^32 */
    uint32_t (*random)(void *context);             /* another one at each call and each power-up */
    int16_t (*temperature_centi_c)(void *context); /* hundredths of a degree Celsius; 0: there is no thermometer */
    void (*sent)(void *context);                   /* a frame is in the ring: wake what sends */
    void (*reset)(void *context);                  /* start anew; 0: device_begin is called instead */
} device_config;

typedef enum device_state { DEVICE_IDLE, DEVICE_STREAMING } device_state;

typedef struct device {
    const device_config *config;
    wire_out out;
    wire_in in;
    sensor sensor;
    uint8_t command[DEVICE_COMMAND_SIZE];
    uint8_t received[DEVICE_RECEIVED];
    volatile uint8_t received_head, received_tail;
    device_state state;
    sensor_result sensor_state;
    uint32_t session;
    uint64_t time_us, session_began_us; /* since power-up */
    uint32_t last_now_us;
    uint64_t produced;  /* samples of the session, sent or not */
    uint64_t drained_us; /* session time of the last sample that was taken out of the FIFO */
    uint64_t status_due_us;
    uint32_t overruns, dropped;
    bool overrun; /* not told yet */
    bool say_hello, say_status, say_reply, say_log, new_session, restart;
    uint16_t reply_sequence;
    uint8_t reply_opcode, reply_result;
    char text[SENSOR_TEXT]; /* of the reply, or of the log */
} device;

/* Set up the sensor and say HELLO; if the sensor does not answer as it should, say so and go on without it. */
void device_begin(device *self, const device_config *config);

/* Do what is due. */
void device_poll(device *self);

/* Whether nothing is due before the sensor or the host does something: the board may sleep for a while. */
bool device_is_quiet(const device *self);

/* Take in a byte from the host; may be called from an interrupt. What finds no room is lost, the host repeats. */
void device_received(device *self, uint8_t byte);

#endif
