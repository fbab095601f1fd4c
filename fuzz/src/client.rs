//! The client core: any order of calls, any answers. Each read ends at most once and in time, no value is delivered that is not one of
//! its key's, requests keep to the sizes in use, timers make progress, and nothing is left when all has ended.

mod answers;
mod leaks;
mod world;

use arbitrary::{Result, Unstructured};
use shingle_proto::client::{Charge, ClientConfig, Join, ReceiveBuffer};
use shingle_proto::cookie::Cookie;
use shingle_proto::search::SearchConfig;

use crate::messages::repaired;
use world::World;

const MS: u64 = 1_000_000;

/// Drives a client in the order the bytes say.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    // Bytes that run out are no finding.
    let _ = scenario(&mut input);
}

fn scenario(input: &mut Unstructured<'_>) -> Result<()> {
    let start_ns = [0, 1 << 40][input.choose_index(2)?];
    let mut world = World::new(config(input)?, start_ns);
    while !input.is_empty() {
        step(input, &mut world)?;
        // The contract allows several calls before it is polled: not every step is followed by one.
        if input.ratio(7, 8)? {
            world.send();
        }
        world.check();
    }
    world.finish();
    Ok(())
}

fn config(input: &mut Unstructured<'_>) -> Result<ClientConfig> {
    let search = SearchConfig { datagram_max: input.arbitrary()?, ..SearchConfig::default() };
    Ok(ClientConfig {
        flow: 7,
        secret: 0,
        in_flight_max: input.int_in_range(1..=12)?,
        value_bytes_max: 30_000,
        reassembly_bytes: [1 << 15, 1 << 17][input.choose_index(2)?],
        partial_max: input.int_in_range(1..=4)?,
        datagram_max: input.int_in_range(1200..=9000)?,
        base_datagram: 1200,
        receive_buffer: receive_buffer(input)?,
        search: input.arbitrary::<bool>()?.then_some(search),
        search_up: input.arbitrary()?,
        credit_max: [0, 1200, 20_000, u32::MAX][input.choose_index(4)?],
        timeout_ns: [MS, 100 * MS, u64::MAX][input.choose_index(3)?],
        gap_ns: [1, MS, 5 * MS, u64::MAX][input.choose_index(4)?],
        rerequests_max: input.int_in_range(0..=4)?,
        retries: input.int_in_range(0..=10)?,
        retry_budget_percent: [0, 20, 255][input.choose_index(3)?],
        heartbeat_ns: [0, 10 * MS, 250 * MS][input.choose_index(3)?],
        linger_ns: [0, MS, 1000 * MS][input.choose_index(3)?],
        telemetry: input.arbitrary()?,
        gets_per_datagram_max: input.int_in_range(1..=64)?,
    })
}

fn receive_buffer(input: &mut Unstructured<'_>) -> Result<ReceiveBuffer> {
    if input.arbitrary()? {
        return Ok(ReceiveBuffer::linux_default());
    }
    let charge = Charge { datagram_bytes_max: input.arbitrary()?, charged_bytes: input.arbitrary()? };
    Ok(ReceiveBuffer::new(input.arbitrary()?, &[charge]))
}

fn step(input: &mut Unstructured<'_>, world: &mut World) -> Result<()> {
    match input.int_in_range(0..=13)? {
        0..=2 => {
            let join = if input.arbitrary()? { Join::WithPrevious } else { Join::Alone };
            let timeout_ns = match input.arbitrary::<u16>()? {
                u16::MAX => u64::MAX,
                steps => u64::from(steps) * 100_000,
            };
            world.get(input.int_in_range(0..=9)?, timeout_ns, join);
        }
        3 => world.cancel(input.arbitrary::<u8>()?.into()),
        4..=6 => {
            let back = usize::from(input.int_in_range(0..=20_u8)?);
            if let Some(datagram) =
                world.request(back).map(|request| answers::one(input, request)).transpose()?
            {
                world.deliver(&datagram);
            }
        }
        7 => {
            let length = usize::from(input.arbitrary::<u8>()?).min(input.len());
            let raw = input.bytes(length)?;
            world.deliver_raw(&if raw.first().is_some_and(|byte| byte & 1 == 0) {
                repaired(raw)
            } else {
                raw.to_vec()
            });
        }
        8 => world.pass(u64::from(input.arbitrary::<u8>()?) * 20_000),
        9 => world.pass(u64::from(input.arbitrary::<u16>()?) * MS / 4),
        10 => world.wake(),
        11 => world.wake_when_due(),
        12 => world.transmit_failed(usize::from(input.int_in_range(0..=10_u8)?)),
        _ => match input.int_in_range(0..=2)? {
            0 => world.client.set_cookie(Cookie(input.arbitrary()?)),
            1 => world.client.hint_path_mtu(world.now, input.arbitrary()?),
            _ => {
                let buffer = receive_buffer(input)?;
                world.set_receive_buffer(buffer);
            }
        },
    }
    Ok(())
}
